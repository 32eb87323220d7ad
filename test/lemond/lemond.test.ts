// The simulated lemond loads, unloads and dies as DESIGN.md section 2 says real ones do.
import { describe, expect, test } from "bun:test";
import { startLemond } from "./index.ts";
import { canConnect } from "./process.ts";
import { openRaw, rawRequest, requestText } from "./raw-client.ts";
import { childOf, health, loaded, streaming } from "./steps.ts";

describe("loading", () => {
  test("with other options reloads a healthy child; with the same ones it is a touch; a bare load undoes them", async () => {
    for (const version of ["10.6", "11.7"] as const) {
      await using lemond = await startLemond({ version });
      const pids = [(await loaded(lemond, "tiny-a")).pid];
      for (const options of [{ ctx_size: 2048 }, { ctx_size: 2048 }, {}]) {
        await lemond.load("tiny-a", options);
        pids.push(childOf(lemond, "tiny-a").pid);
      }
      expect(new Set(pids).size).toBe(3);
      expect([lemond.loads("tiny-a"), lemond.touches("tiny-a")]).toEqual([3, 1]);
    }
  });

  test("is held by a latch: not listed meanwhile, and /v1/health answers", async () => {
    await using lemond = await startLemond();
    const latch = lemond.holdLoads();
    const received = lemond.received("/v1/load", (call) => call.model === "tiny-a");
    const load = lemond.load("tiny-a");
    await received;
    expect(await health(lemond)).toEqual([]);
    expect(lemond.children()).toEqual([]);
    latch.release();
    expect((await load).status).toBe(200);
    expect(lemond.listed()).toEqual(["tiny-a"]);
  });

  test("of one model makes a load of another wait its turn", async () => {
    await using lemond = await startLemond({ maxModels: -1 });
    const order: string[] = [];
    await Promise.all(["tiny-a", "tiny-b"].map((model) => lemond.load(model).then(() => order.push(model))));
    const [first, second] = lemond.children();
    expect(order).toEqual([first?.model ?? "", second?.model ?? ""]);
  });

  test("answered early leaves the child at 503 until it is warm", async () => {
    await using lemond = await startLemond({ warmMs: 600, answerLoadEarly: true });
    const child = await loaded(lemond, "tiny-a");
    const get = requestText("GET", "/health", [], "");
    const cold = await rawRequest(child.port, get);
    expect([cold.status, JSON.parse(cold.body).error.message]).toEqual([503, "Loading model"]);
    while ((await rawRequest(child.port, get)).status === 503) await Bun.sleep(5);
    expect((await rawRequest(child.port, get)).status).toBe(200);
  });
});

describe("an unload", () => {
  test("blocks /v1/health and not /live", async () => {
    await using lemond = await startLemond({ unloadMs: 500 });
    await loaded(lemond, "tiny-a");
    const received = lemond.received("/v1/unload");
    const unload = lemond.unload("tiny-a").then(() => "unload");
    await received;
    expect((await fetch(`${lemond.url}/live`, { keepalive: false })).status).toBe(200);
    const first = await Promise.race([
      health(lemond).then((list) => `health ${list.length}`),
      Bun.sleep(100).then(() => "nothing"),
    ]);
    expect(first).toBe("nothing");
    await unload;
  });

  test("with an empty or malformed body unloads every model and is counted apart", async () => {
    for (const body of ["{}", '{"model_name":']) {
      await using lemond = await startLemond({ maxModels: -1 });
      await loaded(lemond, "tiny-a");
      await loaded(lemond, "tiny-b");
      const response = await fetch(`${lemond.url}/v1/unload`, { method: "POST", body, keepalive: false });
      expect(await response.json()).toEqual({ message: "All models unloaded successfully", status: "success" });
      expect([lemond.listed(), lemond.unloads(), lemond.unloadAlls()]).toEqual([[], 0, 1]);
    }
  });
});

describe("lemond itself", () => {
  test("killed takes its children with it on 11.7, leaves them on 10.6, and knows none after a restart", async () => {
    for (const version of ["10.6", "11.7"] as const) {
      await using lemond = await startLemond({ version });
      const child = await loaded(lemond, "tiny-a");
      await lemond.kill();
      expect(await canConnect(lemond.port)).toBe(false);
      expect(await canConnect(child.port)).toBe(version === "10.6");
      await lemond.restart();
      expect(await health(lemond)).toEqual([]);
      expect((await loaded(lemond, "tiny-a")).port).not.toBe(child.port);
    }
  });

  test("killed with wedged children: they listen and say 200 to /health, all else is silent", async () => {
    await using lemond = await startLemond({ version: "10.6" });
    const child = await loaded(lemond, "tiny-a");
    const stream = await streaming(child);
    await lemond.kill({ wedge: true });
    expect((await rawRequest(child.port, requestText("GET", "/health", [], ""))).status).toBe(200);
    const slots = await openRaw(child.port);
    slots.send(requestText("GET", "/slots", [], ""));
    await child.receivedAny((request) => request.path === "/slots");
    const before = stream.text();
    await rawRequest(child.port, requestText("GET", "/health", [], ""));
    await Bun.sleep(50);
    expect([slots.text(), stream.text() === before]).toEqual(["", true]);
    for (const connection of [slots, stream]) connection.close();
  });

  test("mute takes connections and answers nothing until it is over; held health leaves /live", async () => {
    await using lemond = await startLemond();
    lemond.setMute(true);
    const received = lemond.received("/live");
    const live = fetch(`${lemond.url}/live`, { keepalive: false });
    await received;
    expect(await Promise.race([live.then(() => "answered"), Bun.sleep(50).then(() => "silent")])).toBe("silent");
    lemond.setMute(false);
    expect((await live).status).toBe(200);
    const latch = lemond.holdHealth();
    const held = health(lemond);
    await lemond.receivedAny("/v1/health");
    expect((await fetch(`${lemond.url}/live`, { keepalive: false })).status).toBe(200);
    latch.release();
    expect(await held).toEqual([]);
  });

  test("serves as many connections at once as it has workers", async () => {
    await using lemond = await startLemond({ workers: 2 });
    const get = requestText("GET", "/live", [], "");
    const [a, b, c] = [await openRaw(lemond.port), await openRaw(lemond.port), await openRaw(lemond.port)];
    for (const connection of [a, b]) {
      connection.send(get);
      await connection.until('"ok"');
    }
    c.send(get);
    await Bun.sleep(50);
    expect([c.text(), lemond.count("/live")]).toEqual(["", 2]);
    a.close();
    expect(await c.until('"ok"')).toContain("200 OK");
    for (const connection of [b, c]) connection.close();
  });

  test("disposed leaves no child behind, orphans and stopped ones included", async () => {
    let pids: readonly number[] = [];
    {
      await using lemond = await startLemond({ version: "10.6", maxModels: -1 });
      await loaded(lemond, "tiny-a");
      await (await loaded(lemond, "tiny-b")).kill("SIGSTOP");
      await lemond.kill();
      pids = lemond.children().map((child) => child.pid);
    }
    expect(pids.length).toBe(2);
    for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow();
  });
});
