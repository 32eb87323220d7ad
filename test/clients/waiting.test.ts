// Three SDKs side by side against the built executable while their slot is not there: a load of twenty seconds, models that are
// killed, a fallback. None of them notices, but for Anthropic's, whose streams cannot go on.
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import Anthropic from "@anthropic-ai/sdk";
import { generateText, streamText } from "ai";
import OpenAI from "openai";
import { afterContinuation, KEY, said, startService, type Service } from "./service.ts";

setDefaultTimeout(20_000);

const CLIENTS = ["openai", "ai", "anthropic"] as const;
type Client = (typeof CLIENTS)[number];

/** The text of a chat; `onText` hears of each part of it. */
type Ask = (onText?: () => void, sim?: Readonly<Record<string, number>>) => Promise<string>;

interface Asked {
  readonly plain: Ask;
  readonly stream: Ask;
  /** What came over the wire in streams, as it came. */
  readonly wire: () => string;
}

const messages = [{ role: "user" as const, content: "hello" }];
const ask = { model: "primary", max_tokens: 4, messages };

/** A fetch that keeps what streams bring. */
function listening() {
  let text = "";
  const decoder = new TextDecoder();
  const hear = async (...asked: Parameters<typeof fetch>): Promise<Response> => {
    const response = await fetch(...asked);
    if (!response.headers.get("content-type")?.startsWith("text/event-stream")) return response;
    const keep = new TransformStream<Uint8Array, Uint8Array>({
      transform: (bytes, controller) => {
        text += decoder.decode(bytes, { stream: true });
        controller.enqueue(bytes);
      },
    });
    return new Response(response.body?.pipeThrough(keep) ?? null, response);
  };
  return { fetch: Object.assign(hear, { preconnect: fetch.preconnect }), wire: () => text };
}

function connect(client: Client, { url }: Service): Asked {
  const { fetch, wire } = listening();
  switch (client) {
    case "openai": {
      const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: KEY, fetch });
      return {
        wire,
        plain: async () => (await openai.chat.completions.create(ask)).choices[0]?.message.content ?? "",
        stream: async (onText = () => {}, sim = {}) => {
          let text = "";
          const stream = await openai.chat.completions.create({ ...ask, ...{ sim }, stream: true });
          for await (const { choices } of stream) {
            text += choices[0]?.delta.content ?? "";
            if (text !== "") onText();
          }
          return text;
        },
      };
    }
    case "ai": {
      const provider = createOpenAICompatible({ name: "hal0", baseURL: `${url}/v1`, apiKey: KEY, fetch });
      const request = { model: provider("primary"), prompt: "hello", maxOutputTokens: 4 };
      return {
        wire,
        plain: async () => (await generateText(request)).text,
        stream: async (onText = () => {}, sim = {}) => {
          let text = "";
          const errors: unknown[] = [];
          const onError = ({ error }: { error: unknown }): void => void errors.push(error);
          const result = streamText({ ...request, providerOptions: { hal0: { sim } }, onError });
          for await (const part of result.textStream) {
            text += part;
            onText();
          }
          expect(errors).toEqual([]);
          expect(await result.finishReason).not.toBe("error");
          return text;
        },
      };
    }
    case "anthropic": {
      const anthropic = new Anthropic({ baseURL: url, apiKey: KEY, fetch });
      return {
        wire,
        plain: async () => {
          const { content } = await anthropic.messages.create(ask);
          return content.map((block) => (block.type === "text" ? block.text : "")).join("");
        },
        stream: async (onText = () => {}, sim = {}) => {
          const stream = anthropic.messages.stream({ ...ask, ...{ sim } });
          stream.on("text", onText);
          return stream.finalText();
        },
      };
    }
  }
}

/** A reply of 40 tokens over 0.8 s, long enough to be killed in. */
const LONG = { tokens: 40, tokenMs: 20 };

const isBeat = (block: string): boolean => block.startsWith(": ") || block.startsWith("event: ping");

test("a load of 20 s is 18 to 20 heartbeats of a second and then the answer, and no client notices", async () => {
  const lemond = { loadMs: 20_000 };
  await using service = await startService({ lemond, loaded: [], heartbeatS: 1, holdS: 60 });
  const asked = CLIENTS.map((client) => ({ client, ...connect(client, service) }));
  const leaver = new AbortController();
  const left = fetch(`${service.url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${KEY}` },
    body: JSON.stringify({ ...ask, stream: true }),
    signal: leaver.signal,
  });
  const beganMs = performance.now();
  const texts = asked.map(({ stream }) => stream());
  await (await left).body?.getReader().read(); // Its first heartbeat.
  leaver.abort();
  expect(await Promise.all(texts)).toEqual([said(4), said(4), said(4)]);
  const tookS = (performance.now() - beganMs) / 1000;
  for (const { client, wire } of asked) {
    const blocks = wire().split("\n\n").slice(0, -1);
    const beats = blocks.findIndex((block) => !isBeat(block));
    expect(beats).toBeWithin(18, Math.floor(tookS) + 1); // On a busy machine the load takes longer than it should.
    expect({ client, late: blocks.slice(beats).filter(isBeat) }).toEqual({ client, late: [] });
    expect({ client, isPing: wire().startsWith("event: ping") }).toEqual({ client, isPing: client === "anthropic" });
  }
  expect([service.lemond.loads("tiny-a"), service.child().prompts()]).toEqual([1, 3]);
  expect(await service.dispatched(499)).toBe(1);
}, 60_000);

describe("a model that is killed in the middle of two streams, one after another,", () => {
  test.each(["openai", "ai"] as const)("is not noticed by %s", async (client) => {
    await using service = await startService({ heartbeatS: 0.1, lemond: { loadMs: 400 } });
    const { stream, wire } = connect(client, service);
    for (const times of [1, 2]) {
      let killed: Promise<void> | undefined;
      const kill = (): void => void (killed ??= service.child().kill());
      expect(await stream(kill, LONG)).toBe(said(40));
      await afterContinuation(service, times);
      expect(wire().match(/^: continued$/gm)?.length).toBe(times);
    }
    expect(wire()).toMatch(/^: (checking|loading|continuing) of primary/m);
  });

  test("ends each of Anthropic's with its own error, and the next request is served", async () => {
    await using service = await startService();
    const { plain, stream, wire } = connect("anthropic", service);
    for (const times of [1, 2]) {
      let killed: Promise<void> | undefined;
      const kill = (): void => void (killed ??= service.child().kill());
      const error: unknown = await stream(kill, LONG).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(Anthropic.APIError);
      expect(String(error)).toContain("dispatch.stream_interrupted");
      expect(await plain()).toBe(said(4));
      expect([await service.interrupted(), await service.continued(), service.lemond.loads("tiny-a")]).toEqual([
        times,
        0,
        1 + times,
      ]);
    }
    expect(wire()).not.toContain(": continued");
  });
});

describe("a fallback", () => {
  test.each(CLIENTS)("is not noticed by %s, plain or streamed, before a heartbeat or after one", async (client) => {
    const toml = `fallback = ["spare"]\n[slots.spare]\nmodel = "tiny-b"\n`;
    await using service = await startService({ toml, loaded: ["tiny-b"], heartbeatS: 0.1, lemond: { maxModels: -1 } });
    const { plain, stream, wire } = connect(client, service);
    const { lemond } = service;
    lemond.failLoads("tiny-a", 99);
    const latch = lemond.holdLoads();
    const first = stream();
    while (!isBeat(wire())) await Bun.sleep(10);
    latch.release();
    expect(await first).toBe(said(4, "tiny-b"));
    const heard = wire().length;
    // Now the slot backs off: nothing is waited for.
    expect([await stream(), await plain()]).toEqual([said(4, "tiny-b"), said(4, "tiny-b")]);
    expect(isBeat(wire().slice(heard))).toBe(false);
    expect(lemond.count("/v1/load", "tiny-a")).toBe(1);
    expect([await service.dispatched(200), await service.dispatched(502)]).toEqual([3, 0]);
  });
});
