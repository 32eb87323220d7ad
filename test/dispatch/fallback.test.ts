// A fallback answers while its slot cannot, before the first byte only; where all fail, the error is the slot's own.
import { describe, expect, test } from "bun:test";
import { ended } from "../ended.ts";
import { startRemote } from "../remote.ts";
import { startStack } from "../stack.ts";

const body = '{"id":"far","choices":[]}';
const reply = `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
const primary = { name: "primary", model: "tiny-a", isDefault: true };
const unnoticed = { pollMs: 60_000 };
const small = { upstream: "small", model: null };
const cloud = { upstream: "cloud", model: "big/model" };

describe("a slot whose model cannot be loaded", () => {
  test("is answered for by another slot, and by whom is said", async () => {
    const slots = [
      { ...primary, fallback: [small] },
      { name: "small", model: "tiny-b" },
    ];
    await using stack = await startStack({
      lemond: { maxModels: -1 },
      slots,
      loaded: ["tiny-a", "tiny-b"],
      lemonade: unnoticed,
    });
    stack.lemond.failLoads("tiny-a", 9);
    await stack.child("tiny-a").kill();
    const answer = await ended(stack.chat());
    expect(answer).toMatchObject({ status: 200, how: "whole" });
    expect(answer.text).toContain("tiny-b token 1");
    expect([answer.headers.get("x-hal0-upstream"), answer.headers.get("x-hal0-fallback")]).toEqual([
      "small",
      "primary",
    ]);
    expect(await stack.line("dispatch.fell_back")).toMatchObject({
      slot: "primary",
      upstream: "small",
      reason: "failed",
    });
    const [record] = (await (await fetch(`${stack.url}/api/requests`)).json()) as { fallback: string | null }[];
    expect(record?.fallback).toBe("primary");
    const metrics = await (await fetch(`${stack.url}/metrics`)).text();
    expect(metrics).toContain('hal0_dispatch_fallbacks_total{slot="primary",upstream="small",reason="failed"} 1');
  });

  test("is named alone where a heartbeat goes out while its fallback is still being loaded", async () => {
    await using stack = await startStack({
      lemond: { maxModels: -1, loadMs: 600 },
      slots: [
        { ...primary, fallback: [small] },
        { name: "small", model: "tiny-b" },
      ],
      loaded: [],
      server: { heartbeatMs: 150 },
    });
    stack.lemond.failLoads("tiny-a", 9);
    expect((await stack.chat()).headers.get("x-hal0-fallback")).toBe("primary");
    await stack.child("tiny-b").kill();
    await stack.slotIs(({ state }) => state === "offline", "small");
    // The slot backs off, so that all of the wait is its fallback's.
    const answer = await ended(stack.chat({ stream: true }));
    expect(answer.text).toMatch(/^: .* of primary, \d+ s/);
    expect(answer.text).toContain("tiny-b token 1");
    const names = ["upstream", "fallback", "repair"].map((name) => answer.headers.get(`x-hal0-${name}`));
    expect(names).toEqual(["primary", null, null]);
  });

  test("is answered for by a remote in its back-off, with the remote's key and model and nothing of ours", async () => {
    await using far = await startRemote(reply);
    const upstreams = [{ name: "cloud", url: `${far.url}/v1`, apiKey: "far-key", models: ["big/*"] }];
    await using stack = await startStack({
      slots: [{ ...primary, fallback: [cloud] }],
      upstreams,
      lemonade: unnoticed,
    });
    stack.lemond.failLoads("tiny-a", 9);
    await stack.child().kill();
    await (await stack.chat()).text();
    const loads = stack.lemond.count("/v1/load");
    const answer = await ended(stack.chat({ headers: { authorization: "Bearer client-key", cookie: "a=b" } }));
    expect([answer.status, answer.text]).toEqual([200, body]);
    expect(stack.lemond.count("/v1/load")).toBe(loads);
    const sent = far.requests.at(-1);
    expect(JSON.parse(String(sent?.body ?? "{}"))).toMatchObject({
      model: "big/model",
      messages: [{ content: "hello" }],
    });
    expect(sent?.headers).toMatchObject({ authorization: "Bearer far-key" });
    expect(Object.keys(sent?.headers ?? {}).filter((name) => name.startsWith("x-hal0-"))).toEqual(["x-hal0-via"]);
    expect(sent?.headers["cookie"]).toBeUndefined();
  });

  test("keeps its own error where every fallback fails, and for embeddings, which are another model's", async () => {
    const upstreams = [{ name: "cloud", url: "http://127.0.0.1:9/v1", apiKey: null, models: ["big/*"] }];
    await using stack = await startStack({
      slots: [{ ...primary, fallback: [cloud] }],
      upstreams,
      lemonade: unnoticed,
    });
    stack.lemond.failLoads("tiny-a", 9);
    await stack.child().kill();
    const answer = await ended(stack.chat());
    expect(answer).toMatchObject({ status: 502, details: { upstream: "primary" } });
    expect([answer.headers.get("x-hal0-upstream"), answer.headers.get("x-hal0-fallback")]).toEqual(["primary", null]);
    const vectors = await stack.post("/v1/embeddings", { model: "primary", input: "x" });
    expect([vectors.status, vectors.headers.get("x-hal0-upstream")]).toEqual([502, "primary"]);
    expect(stack.logged("dispatch.fell_back")).toEqual([]);
  });
});

test("a request that is held longer than fallback_after_s is answered by the fallback, and the load goes on", async () => {
  const slots = [
    { ...primary, fallback: [small], fallbackAfterMs: 200 },
    { name: "small", model: "tiny-b" },
  ];
  await using stack = await startStack({ lemond: { maxModels: -1 }, slots, loaded: ["tiny-b"] });
  const latch = stack.lemond.holdLoads();
  const answer = await ended(stack.chat());
  expect(answer.text).toContain("tiny-b token 1");
  expect(answer.headers.get("x-hal0-fallback")).toBe("primary");
  latch.release();
  await stack.slotIs(({ state }) => state === "ready");
  expect(stack.lemond.loads("tiny-a")).toBe(1);
  const [record] = (await (await fetch(`${stack.url}/api/requests`)).json()) as { waited_ms: number }[];
  expect(record?.waited_ms).toBeGreaterThanOrEqual(200);
});
