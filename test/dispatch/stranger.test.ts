// Who sits at the port: a prompt goes to the slot's own child or to nobody, whether its pid can be seen or not.
import { describe, expect, test } from "bun:test";
import { ended } from "../ended.ts";
import { promptsOf } from "../prompts.ts";
import { startStack } from "../stack.ts";

const unwatched = { pollMs: 60_000, touchMs: 0 };

describe.each([
  ["10.6", "visible"],
  ["10.6", "hidden"],
  ["11.7", "visible"],
  ["11.7", "hidden"],
] as const)("lemond %s, pids %s", (version, pids) => {
  test("another model's child on the slot's old port never gets a prompt of the slot", async () => {
    await using stack = await startStack({ lemond: { version, pids, ports: "reuse" }, lemonade: unwatched });
    const old = stack.child("tiny-a");
    await stack.lemond.load("tiny-b"); // Room for one: it takes the place of tiny-a, and its port.
    const stranger = stack.child("tiny-b");
    expect(stranger.port).toBe(old.port);

    const replies = await Promise.all([false, true].map((stream) => ended(stack.chat({ stream }))));
    for (const reply of replies) {
      expect(reply).toMatchObject({ status: 200, label: "recovered", how: "whole" });
      expect(reply.text).toContain("tiny-a token 1");
      expect(reply.text).not.toContain("tiny-b");
    }
    expect(await promptsOf(stranger)).toEqual([0]);
    expect(await promptsOf(stack.child("tiny-a"))).toEqual([2]);
    expect(stack.lemond.loads("tiny-a")).toBe(2);
    expect(stack.lemond.unloads()).toBe(0); // The other model was not ours to unload; lemond made room.
    const [first, ...others] = stack.logged("dispatch.upstream_dead_attempting_recover");
    const cause = pids === "visible" ? "pid gone" : "moved";
    expect(first).toMatchObject({ slot: "primary", error: "ConnectError", cause });
    // The stranger goes when the model comes back: who asks the port at that moment is refused.
    for (const line of others) expect([cause, "refused", "evicted"]).toContain(line["cause"] as string);
  });

  test("nor after the slot's child died, with both models listed by 10.6 at one port", async () => {
    await using stack = await startStack({
      lemond: { version, pids, ports: "reuse", maxModels: -1 },
      lemonade: unwatched,
    });
    const old = stack.child("tiny-a");
    await old.kill();
    await stack.lemond.load("tiny-b");
    const stranger = stack.child("tiny-b");
    expect(stranger.port).toBe(old.port);
    expect(stack.lemond.listed().includes("tiny-a")).toBe(version === "10.6");

    const reply = await ended(stack.chat({ stream: true }));
    expect(reply).toMatchObject({ status: 200, label: "recovered", how: "whole" });
    expect(reply.text).toContain("tiny-a token 1");
    expect(await promptsOf(stranger)).toEqual([0]);
    expect(stranger.isAlive).toBe(true);
    expect(stack.lemond.unloads("tiny-b")).toBe(0);
    // Each is reached by its own name from now on.
    expect((await ended(stack.chat({ model: "tiny-b" }))).text).toContain("tiny-b token 1");
    expect(await promptsOf(stranger)).toEqual([1]);
  });
});

test("a child whose pid is gone is not dialled: attempt 1 is lost with ConnectError and the usual lines", async () => {
  await using stack = await startStack({ lemonade: unwatched });
  const { url, port } = stack.child();
  await stack.child().kill();
  let visits = 0;
  await using stranger = Bun.serve({ hostname: "127.0.0.1", port, fetch: () => new Response(`${++visits}`) });
  expect(stranger.port).toBe(port);
  expect(await ended(stack.chat())).toMatchObject({ status: 200, label: "recovered", how: "whole" });
  expect(visits).toBe(0);
  expect(stack.logged("dispatch.upstream_dead_attempting_recover")).toEqual([
    expect.objectContaining({
      level: "warn",
      slot: "primary",
      upstream: "primary",
      target: `${url}/chat/completions`,
      error: "ConnectError",
      cause: "pid gone",
    }),
  ]);
  expect(await promptsOf(stack.child())).toEqual([1]);
});

test("where the pid is not visible, each attempt asks the child for its name first", async () => {
  await using stack = await startStack({ lemond: { pids: "hidden" }, lemonade: unwatched });
  for (let nth = 0; nth < 3; nth++) expect(await ended(stack.chat())).toMatchObject({ status: 200, label: null });
  const paths = stack
    .child()
    .requests.map(({ path }) => path)
    .filter((path) => path !== "/health");
  const pair = ["/v1/models", "/v1/chat/completions"];
  expect(paths).toEqual([...pair, ...pair, ...pair]);
});

test("where the pid is visible, the child is not asked for its name", async () => {
  await using stack = await startStack({ lemonade: unwatched });
  for (let nth = 0; nth < 3; nth++) expect(await ended(stack.chat())).toMatchObject({ status: 200, label: null });
  expect(stack.child().requests.filter(({ path }) => path === "/v1/models")).toEqual([]);
});
