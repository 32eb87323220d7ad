// Names at the socket: which model answers when lemond's list is new, changed since, or not to be had.
import { expect, test } from "bun:test";
import { startLemond, type Lemond } from "../lemond/index.ts";
import { startStack } from "../stack.ts";

/** Stands before lemond and answers for its list of models; the rest it passes on. */
function startFront(lemond: Lemond, list: (request: Request) => Response | Promise<Response>) {
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: (request) => {
      const { pathname } = new URL(request.url);
      if (pathname === "/v1/models") return list(request);
      const { method, headers } = request;
      return fetch(`${lemond.url}${pathname}`, { method, headers, body: request.body, keepalive: false });
    },
  });
  return { url: `http://127.0.0.1:${server.port}`, [Symbol.asyncDispose]: () => server.stop(true) };
}

const listOf = (...ids: string[]): Response => Response.json({ data: ids.map((id) => ({ id })) });
const upstreamOf = (response: Response): string | null => response.headers.get("x-hal0-upstream");

test("a model that lemond lists goes before a pattern, from the first request on", async () => {
  await using stack = await startStack({
    slots: [{ name: "primary", model: "tiny-a", aliases: ["tiny-*"] }],
    lemond: { maxModels: -1 },
  });
  expect(upstreamOf(await stack.chat({ model: "tiny-b" }))).toBe("tiny-b");
  expect(upstreamOf(await stack.chat({ model: "tiny-none" }))).toBe("primary");
  expect(stack.lemond.children().map(({ model }) => model)).toEqual(["tiny-a", "tiny-b"]);
});

test("two models whose names differ in the prefix alone are two, slot or not", async () => {
  await using stack = await startStack({
    slots: [{ name: "primary", model: "tiny-a" }],
    lemond: { models: [{ id: "tiny-a" }, { id: "user.tiny-a" }], maxModels: -1 },
  });
  expect(upstreamOf(await stack.chat({ model: "user.tiny-a" }))).toBe("user.tiny-a");
  expect(upstreamOf(await stack.chat({ model: "tiny-a" }))).toBe("primary");
  expect(stack.lemond.children().map(({ model }) => model)).toEqual(["tiny-a", "user.tiny-a"]);
});

test("a slot that leaves the prefix out has the model that lemond lists with it", async () => {
  await using stack = await startStack({
    slots: [{ name: "primary", model: "tiny-a" }],
    lemond: { models: [{ id: "user.tiny-a" }] },
    loaded: ["user.tiny-a"],
  });
  for (const model of ["primary", "tiny-a", "user.tiny-a", "extra.tiny-a"])
    expect([model, upstreamOf(await stack.chat({ model }))]).toEqual([model, "primary"]);
});

test("a model pulled a moment ago goes before one that has nearly its name", async () => {
  await using lemond = await startLemond({ models: [{ id: "tiny-a" }, { id: "tiny-a:latest" }], maxModels: -1 });
  let ids = ["tiny-a"];
  await using front = startFront(lemond, () => listOf(...ids));
  await using stack = await startStack({ sharedLemond: lemond, lemonade: { url: front.url } });
  expect(upstreamOf(await stack.chat({ model: "tiny-a:latest" }))).toBe("primary");
  ids = ["tiny-a", "tiny-a:latest"];
  // The list is asked for again after 2 s.
  const deadline = performance.now() + 10_000;
  let upstream: string | null;
  do upstream = upstreamOf(await stack.chat({ model: "tiny-a:latest" }));
  while (upstream === "primary" && performance.now() < deadline);
  expect(upstream).toBe("tiny-a:latest");
});

test("what is nearly named is served where lemond does not say what it has", async () => {
  await using lemond = await startLemond();
  await using front = startFront(lemond, () => new Response(null, { status: 500 }));
  await using stack = await startStack({ sharedLemond: lemond, lemonade: { url: front.url } });
  expect(upstreamOf(await stack.chat({ model: "user.tiny-a" }))).toBe("primary");
});

test("a name that fits a pattern does not wait for a lemond that hangs", async () => {
  await using lemond = await startLemond();
  let [asked, hanging] = [0, 0];
  await using front = startFront(lemond, (request) => {
    // The first look must have failed, or the list would be known and fresh.
    if (++asked === 1) return new Response(null, { status: 500 });
    hanging++;
    request.signal.addEventListener("abort", () => hanging--);
    return new Promise(() => {});
  });
  await using stack = await startStack({
    sharedLemond: lemond,
    lemonade: { url: front.url },
    slots: [{ name: "primary", model: "tiny-a", aliases: ["claude-*"] }],
  });
  expect(upstreamOf(await stack.chat({ model: "claude-any" }))).toBe("primary");
  expect([asked, hanging]).toEqual([2, 1]);
});

test("the log names the model that nothing has, and no other", async () => {
  await using stack = await startStack();
  const name = "x".repeat(300);
  expect((await stack.chat({ model: name })).status).toBe(404);
  expect((await stack.chat({ model: "primary" })).status).toBe(200);
  expect((await stack.post("/v1/chat/completions", "no JSON")).status).toBe(400);
  const decisions = stack.logged("dispatch.decision");
  expect(decisions.map(({ status, model }) => [status, model])).toEqual([
    [404, "x".repeat(200)],
    [200, undefined],
    [400, undefined],
  ]);
});
