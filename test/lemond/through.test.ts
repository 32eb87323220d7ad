// Chat through lemond's own port when the child is lost: the errors of both generations, and what 11.7 repairs by itself.
import { describe, expect, test } from "bun:test";
import { startLemond, type Lemond, type LemondOptions } from "./index.ts";
import { openRaw, rawRequest, requestText, type RawReply } from "./raw-client.ts";
import { chatText, childOf, endless, loaded } from "./steps.ts";

const chat = (lemond: Lemond, stream: boolean, sim: object = {}): Promise<RawReply> =>
  rawRequest(lemond.port, chatText(sim, { model: "tiny-a", stream }));

const errorIn = ({ body }: RawReply): { readonly type: string; readonly message: string; readonly details?: object } =>
  JSON.parse(body.replace(/^data: /, "")).error;

async function withDead(options: LemondOptions, use: (lemond: Lemond) => Promise<void>): Promise<void> {
  await using lemond = await startLemond(options);
  await (await loaded(lemond, "tiny-a")).kill();
  await use(lemond);
}

describe("a dead child", () => {
  test("on 10.6 is network_error, in a stream an event, every time", async () => {
    await withDead({ version: "10.6" }, async (lemond) => {
      for (let nth = 0; nth < 2; nth += 1) {
        const plain = await chat(lemond, false);
        expect([plain.status, errorIn(plain).type]).toEqual([500, "network_error"]);
        const stream = await chat(lemond, true);
        expect([stream.status, errorIn(stream).type]).toEqual([200, "streaming_error"]);
        expect(stream.body).not.toContain("[DONE]");
      }
      expect(lemond.loads()).toBe(1);
    });
  });

  test("on 11.7 is loaded again and answers", async () => {
    for (const stream of [false, true]) {
      // It is asked before it has noticed; afterwards it would say that nothing is loaded.
      await withDead({ deathNoticeMs: 300 }, async (lemond) => {
        expect((await chat(lemond, stream)).body).toContain("tiny-a token 1 ");
        expect(lemond.loads()).toBe(2);
      });
    }
  });

  test("on 11.7 that cannot be loaded again before its notice is backend_unavailable", async () => {
    for (const stream of [false, true]) {
      await withDead({ deathNoticeMs: 300 }, async (lemond) => {
        lemond.failLoads("tiny-a", 9);
        const reply = await chat(lemond, stream);
        expect(reply.status).toBe(stream ? 200 : 500);
        expect(errorIn(reply)).toEqual({
          details: { code: "backend_unavailable", retryable: true },
          message: "Backend for model 'tiny-a' is unavailable",
          type: "backend_error",
        });
      });
    }
  });

  test("on 11.7 that cannot be loaded again after its notice is a failed load, also for a stream", async () => {
    for (const stream of [false, true]) {
      await withDead({ deathNoticeMs: 1 }, async (lemond) => {
        while (lemond.listed().length > 0) await Bun.sleep(1);
        lemond.failLoads("tiny-a", 9);
        const reply = await chat(lemond, stream);
        expect([reply.status, errorIn(reply).type]).toEqual([500, "model_load_error"]);
      });
    }
  });
});

describe("a child that is lost before its first byte", () => {
  test("is asked once more by 11.7, and twice lost it is backend_watchdog_reset", async () => {
    for (const [times, stream] of [
      [1, false],
      [1, true],
      [2, false],
      [2, true],
    ] as const) {
      await using lemond = await startLemond();
      const child = await loaded(lemond, "tiny-a");
      await child.set({ closeBeforeReply: times });
      const reply = await chat(lemond, stream);
      expect(child.prompts()).toBe(2);
      if (times === 1) expect(reply.body).toContain("tiny-a token 1 ");
      else {
        expect([reply.status, errorIn(reply).type]).toEqual([stream ? 200 : 500, "backend_error"]);
        expect(reply.body).toContain('"backend_watchdog_reset"');
      }
    }
  });

  test("is asked once by 10.6", async () => {
    await using lemond = await startLemond({ version: "10.6" });
    const child = await loaded(lemond, "tiny-a");
    await child.set({ closeBeforeReply: 1 });
    const reply = await chat(lemond, false);
    expect([reply.status, errorIn(reply).type, child.prompts()]).toEqual([500, "network_error", 1]);
  });

  test("and dies is loaded again by 11.7 with the options that it had", async () => {
    await using lemond = await startLemond();
    await lemond.load("tiny-a", { ctx_size: 2048 });
    await childOf(lemond, "tiny-a").set({ dieOnPost: { when: "after-headers" } });
    expect((await chat(lemond, true)).body).toContain("token 4 ");
    expect((await lemond.load("tiny-a", { ctx_size: 2048 })).status).toBe(200);
    expect([lemond.loads(), lemond.touches()]).toEqual([2, 1]);
  });
});

test("a stream through 11.7 carries a ping after each time of silence, one through 10.6 none", async () => {
  for (const version of ["10.6", "11.7"] as const) {
    await using lemond = await startLemond({ version, lemondPingMs: 40 });
    await loaded(lemond, "tiny-a");
    const { body } = await chat(lemond, true, { firstTokenMs: 250 });
    if (version === "10.6") expect(body).not.toContain(": ping");
    else expect(body).toStartWith(": ping\n\n: ping\n\n: ping\n\n");
    expect(body).toEndWith("data: [DONE]\n\n");
  }
});

test("a client that leaves a stream through lemond is gone from its child too", async () => {
  await using lemond = await startLemond();
  const child = await loaded(lemond, "tiny-a");
  const stream = await openRaw(lemond.port);
  stream.send(chatText(endless, { stream: true, model: "tiny-a" }));
  await stream.until("token 2 ");
  stream.close();
  await child.abortedAny();
  expect((await lemond.receivedAny("/v1/chat/completions")).isAborted).toBe(true);
});

test("Anthropic's errors have neither lemond's type nor its code, and its route has one name", async () => {
  await using lemond = await startLemond({ version: "10.6" });
  await (await loaded(lemond, "tiny-a")).kill();
  const ask = (path: string, stream: boolean): Promise<RawReply> =>
    rawRequest(lemond.port, requestText("POST", path, [], JSON.stringify({ model: "tiny-a", messages: [], stream })));
  const plain = await ask("/v1/messages", false);
  expect([plain.status, JSON.parse(plain.body)]).toEqual([
    500,
    { type: "error", error: { type: "api_error", message: "Network error: CURL error: Couldn't connect to server" } },
  ]);
  expect((await ask("/v1/messages", true)).body).toStartWith('event: error\ndata: {"error":{');
  expect((await ask("/api/v1/messages", false)).status).toBe(404);
});
