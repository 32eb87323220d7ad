// What was accepted is counted from its first byte to its last, and the end of the server waits for it, or says that it comes.
import { describe, expect, test } from "bun:test";
import { createAccepted, leave, within } from "../../src/http/accepted.ts";
import { errorIn, errorOf } from "../envelope.ts";
import { ended } from "../ended.ts";
import { openRaw, parseReply, requestText } from "../lemond/raw-client.ts";
import { startRemote } from "../remote.ts";
import { startStack, type Stack } from "../stack.ts";

describe("the count", () => {
  test("falls once for each, and tells when nothing is left", async () => {
    const accepted = createAccepted();
    await accepted.idle(10_000);
    const [one, two] = [accepted.enter(), accepted.enter()];
    let isIdle = false;
    const idle = accepted.idle(10_000).then(() => (isIdle = true));
    leave(one);
    leave(one);
    await Bun.sleep(0);
    expect([accepted.count, isIdle]).toEqual([1, false]);
    leave(two);
    await idle;
    expect(accepted.count).toBe(0);
  });

  test("is waited for no longer than it is given", async () => {
    const accepted = createAccepted();
    accepted.enter();
    await accepted.idle(5);
    expect(accepted.count).toBe(1);
  });

  test("cut, ends what is waited for and what would be", async () => {
    const accepted = createAccepted();
    const [entry, done] = [accepted.enter(), accepted.enter()];
    expect(await within(done, Promise.resolve(5))).toBe(5);
    const waiting = within(entry, Promise.withResolvers<void>().promise);
    accepted.cut();
    for (const wait of [waiting, within(entry, Promise.withResolvers<void>().promise)])
      expect(await wait.catch((error: unknown) => error)).toMatchObject({ code: "server.draining" });
    expect(await within(entry, Promise.reject(new Error("late"))).catch((error: unknown) => error)).toMatchObject({
      code: "server.draining",
    });
  });
});

const BODY = JSON.stringify({ messages: [{ role: "user", content: "hello" }] });

/** A chat whose second half has not been sent yet; the server has seen the first. */
async function halfUploaded(stack: Stack) {
  const connection = await openRaw(Number(new URL(stack.url).port));
  const text = requestText("POST", "/v1/chat/completions", [], BODY);
  connection.send(text.slice(0, -10));
  await stack.slot();
  return { connection, rest: text.slice(-10) };
}

describe("the end of the server", () => {
  test("waits for a request that is still uploading, and it is answered", async () => {
    await using stack = await startStack({ server: { drainMs: 10_000 } });
    const { connection, rest } = await halfUploaded(stack);
    const stopped = stack.server.stop();
    expect((await stack.line("server.draining"))["in_flight"]).toBe(1);
    // Longer than the last bytes of replies are waited for.
    await Bun.sleep(1200);
    connection.send(rest);
    const reply = parseReply(await connection.until("chat.completion"));
    expect(reply.status).toBe(200);
    await stopped;
    expect(stack.lines.at(-1)).toMatchObject({ event: "server.stopped" });
    connection.close();
  });

  test("tells an upload that outlasts it that the server is stopping, and so does the log", async () => {
    await using stack = await startStack({ server: { drainMs: 300 } });
    const { connection } = await halfUploaded(stack);
    const stopped = stack.server.stop();
    const reply = parseReply(await connection.until('"server.draining"'));
    expect([reply.status, errorIn(reply.body).code]).toEqual([503, "server.draining"]);
    await stopped;
    expect(stack.logged("dispatch.decision")).toMatchObject([{ status: 503 }]);
    connection.close();
  });

  test("waits for what asks lemond for its models, and tells it if that takes too long", async () => {
    for (const drainMs of [10_000, 200]) {
      await using stack = await startStack({ loaded: [], lemond: { maxModels: 2 }, server: { drainMs } });
      // The list is asked for again when it is 2 s old.
      await Bun.sleep(2100);
      stack.lemond.setMute(true);
      const reply = ended(stack.chat({ model: "not-yet-known" }));
      await stack.lemond.receivedAny("/v1/models", ({ status }) => status === undefined);
      const stopped = stack.server.stop();
      expect((await stack.line("server.draining"))["in_flight"]).toBe(1);
      if (drainMs > 1000) stack.lemond.setMute(false);
      const expected =
        drainMs > 1000 ? { status: 404, code: "dispatch.no_route" } : { status: 503, code: "server.draining" };
      expect(await reply).toMatchObject(expected);
      stack.lemond.setMute(false);
      await stopped;
    }
  });

  test("waits for an operator's restart between its unload and its load", async () => {
    await using stack = await startStack({ lemond: { unloadMs: 1500 }, server: { drainMs: 10_000 } });
    const { pid } = stack.child();
    const restart = fetch(`${stack.url}/api/slots/primary/restart`, { method: "POST" });
    await stack.lemond.received("/v1/unload");
    await stack.server.stop();
    expect((await restart).status).toBe(200);
    expect(stack.child().pid).not.toBe(pid);
    expect([stack.lemond.unloads(), stack.lemond.loads()]).toEqual([1, 2]);
  });

  test("tells an operator's action that outlasts it", async () => {
    await using stack = await startStack({ loaded: [], server: { drainMs: 200 } });
    const loads = stack.lemond.holdLoads();
    const load = fetch(`${stack.url}/api/slots/primary/load`, { method: "POST" });
    await stack.lemond.received("/v1/load");
    const stopped = stack.server.stop();
    const response = await load;
    expect([response.status, (await errorOf(response)).code]).toEqual([503, "server.draining"]);
    loads.release();
    await stopped;
  });

  test("waits for a stream to its last byte, and for no feed", async () => {
    await using stack = await startStack({ server: { drainMs: 10_000 } });
    const feed = await fetch(`${stack.url}/api/slots/events`);
    // Longer than the last bytes of replies are waited for.
    const stream = ended(stack.chat({ stream: true, sim: { tokens: 30, tokenMs: 60 } }));
    await stack.slotIs(({ in_flight }) => in_flight === 1);
    const stopped = stack.server.stop();
    expect((await stack.line("server.draining"))["in_flight"]).toBe(1);
    expect(await stream).toMatchObject({ status: 200, how: "whole" });
    await stopped;
    await feed.text().catch(() => undefined);
  });

  test("tells a remote's request that has no answer yet", async () => {
    await using remote = await startRemote(() => null);
    const upstreams = [{ name: "far", url: remote.url, apiKey: null, models: ["far/*"] }];
    await using stack = await startStack({ upstreams, server: { drainMs: 100 } });
    const far = ended(stack.chat({ model: "far/m" }));
    while (remote.open === 0) await Bun.sleep(1);
    await stack.server.stop();
    expect(await far).toMatchObject({ status: 503, code: "server.draining" });
  });
});
