// What SIGTERM, SIGINT and SIGHUP do to the built executable, and what they leave alone: loaded models and running streams.
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { builtExecutable, type Line } from "../binary.ts";
import { KEY, said, startService, type Service } from "../clients/service.ts";
import { ended } from "../ended.ts";
import { startLemond } from "../lemond/index.ts";

// A test takes a second or two; on a busy machine ten times that.
setDefaultTimeout(20_000);

const headers = { authorization: `Bearer ${KEY}`, "content-type": "application/json" };

function chat({ url }: Service, more: object = {}): Promise<Response> {
  const body = JSON.stringify({ model: "primary", messages: [{ role: "user", content: "hello" }], ...more });
  return fetch(`${url}/v1/chat/completions`, { method: "POST", headers, body });
}

describe("told to stop", () => {
  const drain = async (service: Service): Promise<void> => {
    service.binary.signal("SIGTERM");
    await service.binary.line("server.draining");
  };

  test.each(["SIGTERM", "SIGINT"] as const)("%s ends it with 0 and leaves the models loaded", async (signal) => {
    await using service = await startService();
    expect((await ended(chat(service))).status).toBe(200);
    service.binary.signal(signal);
    expect(await service.binary.exited).toBe(0);
    expect(service.binary.lines.at(-1)?.event).toBe("server.stopped");
    expect(service.child().isAlive).toBe(true);
    expect(service.lemond.unloads()).toBe(0);
  });

  test("during its first look at lemond, when it listens already, it ends in order too", async () => {
    await using lemond = await startLemond();
    const latch = lemond.holdHealth();
    const looked = lemond.received("/v1/health");
    const child = Bun.spawn([await builtExecutable(), "--port", "0", "--lemonade", lemond.url], {
      env: { HAL0_DISPATCH_CONFIG: "/dev/null" },
      stdout: "pipe",
    });
    await looked; // It asks after it has begun to listen.
    child.kill("SIGTERM");
    latch.release();
    const events = (await child.stdout.text())
      .trim()
      .split("\n")
      .map((line): Line => JSON.parse(line));
    expect(events.map(({ event }) => event)).toEqual(["server.started", "server.draining", "server.stopped"]);
    expect(await child.exited).toBe(0);
  });

  test("it takes nothing new, lets a stream run to its end, and ends with 0", async () => {
    await using service = await startService({ drainS: 5 });
    const stream = await chat(service, { stream: true, sim: { tokens: 20, tokenMs: 20 } });
    await drain(service);
    expect((await fetch(`${service.url}/health`)).status).toBe(503);
    const refused = await ended(chat(service));
    expect(refused).toMatchObject({ status: 503, code: "server.draining" });
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
    const reply = await ended(stream);
    expect(reply).toMatchObject({ status: 200, how: "whole" });
    expect(reply.text).toContain("tiny-a token 20 ");
    expect(await service.binary.exited).toBe(0);
    expect(service.child().prompts()).toBe(1);
  });

  test("a stream that outlasts the drain is told so, and it ends with 0", async () => {
    await using service = await startService({ drainS: 0.2 });
    const stream = await chat(service, { stream: true, sim: { tokens: 500, tokenMs: 20 } });
    await drain(service);
    expect(await ended(stream)).toMatchObject({ how: "interrupted", code: "server.draining" });
    expect(await service.binary.exited).toBe(0);
    // The child was well: it is neither repaired nor unloaded.
    expect(service.lemond.loads("tiny-a")).toBe(1);
    expect(service.lemond.unloads()).toBe(0);
  });
});

describe("told to read its configuration again", () => {
  test("it adds, changes and removes slots, and touches neither a loaded model nor a running stream", async () => {
    await using service = await startService({ lemond: { maxModels: 2 } });
    const { binary, lemond } = service;
    const stream = await chat(service, { stream: true, sim: { tokens: 25, tokenMs: 20 } });
    const toml = await Bun.file(binary.configPath).text();
    const changed = toml
      .replace(/\[slots\.embed\][^[]*/, '[slots.second]\nmodel = "tiny-b"\n')
      .replace('model = "tiny-a"', 'model = "tiny-a"\naliases = ["fast"]')
      .replace("poll_s = 0.2", "poll_s = 0.3\nauto_slots = false\nload_timeout_s = 50");
    writeFileSync(binary.configPath, changed);
    binary.signal("SIGHUP");
    expect(await binary.line("config.reloaded")).toMatchObject({ restart_needed_for: ["lemonade.load_timeout_s"] });

    expect(await slotNames(service)).toEqual(["second", "primary"]);
    const viaAlias = await ended(chat(service, { model: "fast" }));
    expect(viaAlias).toMatchObject({ status: 200, label: null });
    expect(viaAlias.headers.get("x-hal0-upstream")).toBe("primary");
    expect(await ended(chat(service, { model: "embed" }))).toMatchObject({ status: 404, code: "dispatch.no_route" });
    const added = await ended(chat(service, { model: "second" }));
    expect(added).toMatchObject({ status: 200, label: "loaded" });
    expect(added.text).toContain(said(4, "tiny-b"));

    const reply = await ended(stream);
    expect(reply).toMatchObject({ status: 200, how: "whole" });
    expect(reply.text).toContain("tiny-a token 25 ");
    expect(["tiny-a", "tiny-emb", "tiny-b"].map((model) => lemond.loads(model))).toEqual([1, 1, 1]);
    expect(lemond.unloads()).toBe(0);
    expect(service.child("tiny-emb").isAlive).toBe(true);
  });

  test("a broken file is reported with every fault, and the old configuration stays", async () => {
    await using service = await startService();
    const { binary } = service;
    const names = await slotNames(service);
    writeFileSync(binary.configPath, `[server]\nprot = 1\n[slots.primary]\nmodle = "tiny-a"\n`);
    binary.signal("SIGHUP");
    const { faults } = await binary.line("config.reload_failed");
    expect(Array.isArray(faults) && faults.map((fault) => String(fault).split(": ")[0]).sort()).toEqual([
      "server.prot",
      "slots.primary.model",
      "slots.primary.modle",
    ]);
    expect(await slotNames(service)).toEqual(names);
    expect(await ended(chat(service))).toMatchObject({ status: 200, how: "whole" });
    expect((await fetch(`${service.url}/api/slots`)).status).toBe(401); // The keys are those of before, too.
    expect(service.lemond.loads()).toBe(2);
  });
});

async function slotNames({ url }: Service): Promise<string[]> {
  const slots = (await (await fetch(`${url}/api/slots`, { headers })).json()) as { name: string }[];
  return slots.map(({ name }) => name);
}
