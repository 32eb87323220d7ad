// Death and eviction in the simulated lemond, and where the next child is found (DESIGN.md section 2, 1 to 3, 7, 10, 14).
import { describe, expect, test } from "bun:test";
import { startLemond } from "./index.ts";
import { canConnect } from "./process.ts";
import { openRaw, rawRequest, requestText } from "./raw-client.ts";
import { chatText, endless, health, loaded, streaming } from "./steps.ts";

describe("a child that was killed", () => {
  test("is listed for ever by 10.6, and a load of it answers 200 and starts nothing", async () => {
    await using lemond = await startLemond({ version: "10.6" });
    const child = await loaded(lemond, "tiny-a");
    await child.kill();
    expect(await canConnect(child.port)).toBe(false);
    expect((await lemond.load("tiny-a")).status).toBe(200);
    expect((await health(lemond)).map((model) => model.pid)).toEqual([child.pid]);
    expect([lemond.loads(), lemond.touches(), lemond.children().length]).toEqual([1, 1, 1]);
    expect((await lemond.unload("tiny-a")).status).toBe(200);
    expect((await loaded(lemond, "tiny-a")).pid).not.toBe(child.pid);
  });

  test("leaves the list of 11.7 after its notice; until then a load starts nothing", async () => {
    await using lemond = await startLemond({ deathNoticeMs: 400 });
    const child = await loaded(lemond, "tiny-a");
    await child.kill();
    expect((await lemond.load("tiny-a")).status).toBe(200);
    expect([lemond.touches(), lemond.children().length]).toEqual([1, 1]);
    while (lemond.listed().length > 0) await Bun.sleep(5);
    const unload = await lemond.unload("tiny-a");
    expect([unload.status, await unload.json()]).toEqual([404, { error: "Model not loaded: tiny-a" }]);
    expect((await loaded(lemond, "tiny-a")).pid).not.toBe(child.pid);
  });

  test("is chatted with through lemond: 500 on 10.6, loaded again on 11.7", async () => {
    for (const [version, status, loads] of [
      ["10.6", 500, 1],
      ["11.7", 200, 2],
    ] as const) {
      await using lemond = await startLemond({ version });
      await (await loaded(lemond, "tiny-a")).kill();
      // Before 11.7 has noticed the death, a load starts nothing.
      for (let looks = 0; version === "11.7" && lemond.listed().length > 0 && looks < 1000; looks++) await Bun.sleep(1);
      const reply = await rawRequest(lemond.port, chatText({}, { model: "tiny-a" }));
      expect([reply.status, lemond.loads()]).toEqual([status, loads]);
      if (version === "10.6") {
        const message = "Network error: CURL error: Couldn't connect to server";
        expect(JSON.parse(reply.body)).toEqual({ error: { message, type: "network_error" } });
      }
    }
  });

  test("mid-stream ends a stream through 10.6 with a forged [DONE], through 11.7 with an error event", async () => {
    for (const [version, last] of [
      ["10.6", "data: [DONE]"],
      ["11.7", "backend_watchdog_reset"],
    ] as const) {
      await using lemond = await startLemond({ version });
      const child = await loaded(lemond, "tiny-a");
      const stream = await openRaw(lemond.port);
      stream.send(chatText(endless, { stream: true, model: "tiny-a" }));
      await stream.until("token 2 ");
      await child.kill();
      expect(await stream.until("\r\n0\r\n\r\n")).toContain(last);
      stream.close();
    }
  });
});

describe("ports and pids", () => {
  test("each child has a port of its own when ports move", async () => {
    await using lemond = await startLemond();
    const first = await loaded(lemond, "tiny-a");
    await lemond.unload("tiny-a");
    const second = await loaded(lemond, "tiny-a");
    expect(second.port).toBeGreaterThan(first.port);
    expect(await canConnect(first.port)).toBe(false);
  });

  test("another model takes over the port of the one it evicted when ports are reused", async () => {
    await using lemond = await startLemond({ ports: "reuse" });
    const a = await loaded(lemond, "tiny-a");
    const b = await loaded(lemond, "tiny-b");
    expect(b.port).toBe(a.port);
    expect(a.isAlive).toBe(false);
    const models = await rawRequest(a.port, requestText("GET", "/v1/models", [], ""));
    expect(JSON.parse(models.body).data[0].id).toBe("/models/tiny-b.gguf");
  });

  test("the command line of a child names its port, unless pids are hidden", async () => {
    for (const pids of ["visible", "hidden"] as const) {
      await using lemond = await startLemond({ pids });
      const child = await loaded(lemond, "tiny-a");
      const shown = (await health(lemond))[0]?.pid;
      const own = await Bun.file(`/proc/${child.pid}/cmdline`).text();
      expect(own.split("\0")).toContain(String(child.port));
      if (pids === "visible") expect(shown).toBe(child.pid);
      else {
        const other = await Bun.file(`/proc/${shown}/cmdline`)
          .text()
          .catch(() => "");
        expect(other.split("\0")).not.toContain(String(child.port));
      }
    }
  });
});

describe("eviction", () => {
  test("of a child with a direct stream: refuses at once, silent, then FIN without a last chunk", async () => {
    await using lemond = await startLemond();
    const child = await loaded(lemond, "tiny-a");
    const stream = await streaming(child);
    const evicted = lemond.evict("tiny-a", { silentMs: 400 });
    while (await canConnect(child.port)) await Bun.sleep(2);
    // What was under way in the kernel has arrived after this.
    await Bun.sleep(50);
    const before = stream.text();
    expect(child.isAlive).toBe(true);
    const end = await stream.end;
    await evicted;
    expect(end).toBe("FIN");
    expect(stream.text()).toBe(before);
    expect(stream.text()).not.toContain("\r\n0\r\n");
    expect(lemond.listed()).toEqual([]);
    expect(lemond.unloads()).toBe(0);
  });

  test("of the least recently used model of that type, and of no other type, makes room for a load", async () => {
    await using lemond = await startLemond({ maxModels: 2 });
    for (const model of ["tiny-a", "tiny-emb", "tiny-b"]) await loaded(lemond, model);
    await lemond.load("tiny-a");
    await loaded(lemond, "tiny-slow");
    expect([...lemond.listed()].sort()).toEqual(["tiny-a", "tiny-emb", "tiny-slow"]);
  });

  test("of everything else follows a failed load", async () => {
    await using lemond = await startLemond({ maxModels: -1 });
    await loaded(lemond, "tiny-b");
    lemond.failLoads("tiny-a");
    expect((await lemond.load("tiny-a")).status).toBe(500);
    expect(lemond.listed()).toEqual([]);
    await loaded(lemond, "tiny-a");
  });

  // Long beside a pause of a busy machine: a touch that comes late by so much is too late.
  const idleEvictMs = 800;
  test("of an idle model is not held off by direct chat, and is by a touch with the options in health", async () => {
    await using lemond = await startLemond({ idleEvictMs });
    const child = await loaded(lemond, "tiny-a");
    let direct = 0;
    while (lemond.listed().length > 0) {
      direct += (await rawRequest(child.port, chatText()).catch(() => null))?.status === 200 ? 1 : 0;
      await Bun.sleep(20);
    }
    expect(direct).toBeGreaterThan(2);
    const again = await loaded(lemond, "tiny-a");
    const begin = performance.now();
    const lastUse: number[] = [];
    while (performance.now() - begin < 2 * idleEvictMs) {
      const [model] = await health(lemond);
      if (model === undefined) break;
      lastUse.push(model.last_use);
      // Between a load and its touch too: `last_use` is in milliseconds, and both can happen in one.
      await Bun.sleep(50);
      await lemond.load("tiny-a", model.recipe_options);
    }
    expect(lemond.child("tiny-a")?.pid).toBe(again.pid);
    expect(lemond.listed()).toEqual(["tiny-a"]);
    expect(lemond.loads()).toBe(2);
    expect(new Set(lastUse).size).toBe(lastUse.length);
  });
});
