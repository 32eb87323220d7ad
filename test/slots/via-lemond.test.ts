// Slots whose requests go through lemond's own port: by their configuration, or because their child is not ours to dial.
import { describe, expect, test } from "bun:test";
import { startBetween } from "../between.ts";
import { ended } from "../ended.ts";
import { startLemond } from "../lemond/index.ts";
import { promptsOf } from "../prompts.ts";
import { startStack } from "../stack.ts";

const through = [{ name: "primary", model: "tiny-a", isDefault: true, via: "lemond" as const }];

describe.each(["10.6", "11.7"] as const)("a slot that goes through lemond %s", (version) => {
  test("answers plain and streaming with the model's own name in the body", async () => {
    await using stack = await startStack({ lemond: { version }, slots: through });
    for (const stream of [false, true]) {
      const reply = await ended(stack.chat({ model: "primary", stream }));
      expect(reply).toMatchObject({ status: 200, label: null, how: "whole" });
      expect(reply.text).toContain("tiny-a token 1");
    }
    const asked = stack.lemond.calls.filter(({ route }) => route === "/v1/chat/completions");
    expect(asked.map(({ model }) => model)).toEqual(["tiny-a", "tiny-a"]);
    expect(await stack.slot()).toMatchObject({ state: "ready", in_flight: 0 });
  });

  test.each([false, true])("is repaired when its child has died: one load, one retry (stream: %p)", async (stream) => {
    await using stack = await startStack({ lemond: { version }, slots: through, lemonade: { pollMs: 60_000 } });
    const dead = stack.child();
    await dead.kill();
    const reply = await ended(stack.chat({ stream }));
    expect(reply).toMatchObject({ status: 200, how: "whole" });
    expect(await promptsOf(stack.child())).toEqual([1]);
    expect(stack.lemond.loads()).toBeLessThanOrEqual(2);
    expect(stack.lemond.unloads()).toBeLessThanOrEqual(1);
    expect(stack.child().pid).not.toBe(dead.pid);
  });
});

test("only the bytes of the model are changed on the way to lemond", async () => {
  await using stack = await startStack({ slots: through });
  const body = (model: string): string =>
    ` {"messages": [],\n "x":1.0e1, "mod\\u0065l" : ${model}, "y":"\\u00fc\\/" }\n`;
  const bodies = [body('"primary"'), body("null"), '{"messages":[],"x":12345678901234567890}'];
  for (const sent of bodies) expect((await stack.post("/v1/chat/completions", sent)).status).toBe(200);
  const asked = stack.lemond.calls.filter(({ route }) => route === "/v1/chat/completions");
  const wanted = [body('"tiny-a"'), body('"tiny-a"'), '{"model":"tiny-a","messages":[],"x":12345678901234567890}'];
  expect(asked.map(({ bodySha256 }) => bodySha256)).toEqual(wanted.map((text) => sha256(text)));
});

test("a child at an address of another host is never dialled: its requests go through lemond", async () => {
  await using lemond = await startLemond();
  await lemond.load("tiny-a");
  const between = startBetween(lemond, async ({ path, pass }) => {
    const answer = await pass();
    if (path !== "/v1/health") return answer;
    const text = await answer.text();
    return new Response(text.replaceAll(/http:\/\/127\.0\.0\.1:\d+\/v1/g, "http://192.0.2.1:8001/v1"));
  });
  await using stack = await startStack({ sharedLemond: between, loaded: [] });
  expect(await ended(stack.chat({ stream: true }))).toMatchObject({ status: 200, how: "whole" });
  expect(lemond.calls.filter(({ route }) => route === "/v1/chat/completions").length).toBe(1);
  expect([lemond.loads(), lemond.unloads()]).toEqual([1, 0]);
  expect(stack.logged("lemonade.backend_url_refused").length).toBe(1);
  await between[Symbol.asyncDispose]();
});

test("no more of ours are at lemond's port at once than lemonade.max_requests, and none is refused for it", async () => {
  await using stack = await startStack({ slots: through, lemonade: { maxRequests: 2 } });
  const chats = Array.from({ length: 6 }, () => ended(stack.chat({ stream: true, sim: { tokens: 4, tokenMs: 50 } })));
  let most = 0;
  while (most < 2) most = Math.max(most, (await stack.slot()).in_flight);
  const startedMs = performance.now();
  expect((await fetch(`${stack.lemond.url}/v1/health`)).status).toBe(200);
  expect(performance.now() - startedMs).toBeLessThan(1000);
  for (const reply of await Promise.all(chats)) expect(reply).toMatchObject({ status: 200, how: "whole" });
  const spans = stack.lemond.calls.filter(({ route }) => route === "/v1/chat/completions");
  expect(spans.length).toBe(6);
});

test("40 slow streams through a lemond of 10.6 leave it health and loads within a second, and none is refused", async () => {
  const slots = [...through, { name: "second", model: "tiny-b" }];
  await using stack = await startStack({ lemond: { version: "10.6", maxModels: 2 }, slots });
  const { lemond } = stack;
  const sim = { tokens: 10, tokenMs: 40 };
  let over = 0;
  const streams = Array.from({ length: 40 }, async () => {
    const reply = await ended(stack.chat({ stream: true, sim }));
    over++;
    return reply;
  });
  const isChat = ({ route }: { readonly route: string }): boolean => route === "/v1/chat/completions";
  await stack.slotIs(({ in_flight }) => in_flight === 40);
  while (lemond.calls.filter(isChat).length < 4) await Bun.sleep(5);
  const within = async (asked: Promise<Response>): Promise<void> => {
    const beganMs = performance.now();
    expect((await asked).status).toBe(200);
    expect(performance.now() - beganMs).toBeLessThan(1000);
  };
  await within(fetch(`${lemond.url}/v1/health`));
  await within(stack.chat({ model: "second" }));
  expect([lemond.loads("tiny-b"), over < 40]).toEqual([1, true]);
  // Four of ours at once: the other half of its workers is free.
  let most = 0;
  while (over < 40) {
    most = Math.max(most, lemond.calls.filter((call) => isChat(call) && call.status === undefined).length);
    await Bun.sleep(20);
  }
  expect(most).toBeWithin(1, 5);
  for (const reply of await Promise.all(streams))
    expect(reply).toMatchObject({ status: 200, label: null, how: "whole" });
  expect(lemond.calls.filter(isChat).length).toBe(40);
}, 20_000);

const sha256 = (text: string): string => new Bun.CryptoHasher("sha256").update(text).digest("hex");
