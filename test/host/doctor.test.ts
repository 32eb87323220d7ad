// What doctor finds, against the simulated Lemonade and real ports.
import { describe, expect, test } from "bun:test";
import { chmod, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { canRead } from "../../src/config/files.ts";
import type { Finding } from "../../src/host/finding.ts";
import { runBinary } from "../binary.ts";
import { doctor, levels } from "../doctor.ts";
import { startLemond } from "../lemond/index.ts";
import { startStack } from "../stack.ts";

const slot = (name: string, model: string): string => `[slots.${name}]\nmodel = "${model}"\n`;

test("where all is well, nothing is to be done and the exit code is 0", async () => {
  await using lemond = await startLemond();
  await lemond.load("tiny-a");
  const { code, found, of } = await doctor({ toml: slot("primary", "tiny-a"), lemonade: lemond.url });
  expect([code, levels(found)]).toEqual([0, found.map(() => "ok")]);
  expect(found.every(({ advice }) => advice === null)).toBe(true);
  expect(of(/lemond answers at \S+, version 11\.7\.0/).length).toBe(1);
  expect(of(/slot primary: tiny-a is loaded/).length).toBe(1);
  expect(of(new RegExp(`process ${lemond.child("tiny-a")?.pid} can be watched`)).length).toBe(1);
  // A doctor does no harm.
  expect([lemond.loads(), lemond.unloads(), lemond.unloadAlls()]).toEqual([1, 0, 0]);
});

test("a user can read a file by its mode and owner, and those of the folders above it", async () => {
  const folder = await mkdtemp(join(tmpdir(), "hal0-open-"));
  const file = join(folder, "slot.toml");
  await writeFile(file, "");
  const { uid, gid } = await stat(file);
  const others = { uid: uid + 1, gid: gid + 1 };
  const openAt = async (
    fileMode: number,
    folderMode: number,
    user: Parameters<typeof canRead>[1],
  ): Promise<boolean> => {
    await chmod(file, fileMode);
    await chmod(folder, folderMode);
    return canRead(file, user);
  };
  for (const user of [others, null]) {
    expect(await openAt(0o644, 0o755, user)).toBe(true);
    expect(await openAt(0o640, 0o755, user)).toBe(false);
    expect(await openAt(0o644, 0o750, user)).toBe(false);
  }
  expect(await openAt(0o640, 0o750, { ...others, gid })).toBe(true);
  expect(await openAt(0o640, 0o710, { ...others, gid })).toBe(true);
  expect(await openAt(0o600, 0o755, { ...others, gid })).toBe(false);
  expect(await openAt(0o400, 0o700, { ...others, uid })).toBe(true);
  await rm(folder, { recursive: true });
});

test("a lemonade.url that is another server is said to be that", async () => {
  using other = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("nothing", { status: 404 }) });
  const { code, of } = await doctor({ lemonade: other.url.origin });
  expect([code, levels(of(/is not lemond: it knows no \/v1\/health/))]).toEqual([1, ["serious"]]);
});

test("further lemonds are looked at as well, each with its own slots", async () => {
  await using first = await startLemond();
  await using attic = await startLemond({ models: [{ id: "tiny-z", labels: ["chat"] }] });
  await attic.load("tiny-z");
  const toml = `${slot("a", "tiny-a")}${slot("z", "tiny-z")}lemonade = "attic"\n[lemonades.attic]\nurl = "${attic.url}"\n`;
  const { code, found, of } = await doctor({ toml, lemonade: first.url });
  expect([code, new Set(levels(found))]).toEqual([0, new Set(["ok"])]);
  expect(of(/slot a: lemond knows tiny-a/).length).toBe(1);
  expect(of(/slot z: tiny-z is loaded/).length).toBe(1);
  await attic.kill();
  const down = await doctor({ toml, lemonade: first.url });
  expect([down.code, levels(down.of(/where lemond attic should be/))]).toEqual([1, ["serious"]]);
});

test("a lemond that is not there is serious, and the port is looked at all the same", async () => {
  await using lemond = await startLemond();
  const { url } = lemond;
  await lemond.kill();
  const { code, of } = await doctor({ lemonade: url });
  expect([code, levels(of(/nothing listens/)), levels(of(/port/))]).toEqual([1, ["serious"], ["ok"]]);
});

test("a lemond that wants another key is serious; ours is taken from the service's environment and never printed", async () => {
  await using lemond = await startLemond({ apiKey: "lemond-secret" });
  const without = await doctor({ lemonade: lemond.url });
  expect([without.code, levels(without.of(/without a key/))]).toEqual([1, ["serious"]]);
  const environment = "# keys\nLEMONADE_API_KEY='lemond-secret'\nHAL0_DISPATCH_API_KEYS=client-secret\n";
  const withKey = await doctor({ lemonade: lemond.url, environment });
  expect([withKey.code, levels(withKey.of(/1 key is set/))]).toEqual([0, ["ok"]]);
  expect(withKey.text).not.toContain("secret");
  const other = await doctor({ lemonade: lemond.url, environment, env: { LEMONADE_API_KEY: "other-secret" } });
  expect([other.code, levels(other.of(/refuses our key/))]).toEqual([1, ["serious"]]);
  expect(other.text).not.toContain("secret");
});

test("a model that lemond does not know is serious, one that is not downloaded a warning", async () => {
  await using lemond = await startLemond();
  await lemond.load("tiny-a");
  const toml = slot("a", "extra.tiny-a") + slot("b", "Bonsai-1.7B-gguf") + slot("c", "nobody's");
  const { code, of } = await doctor({ toml, lemonade: lemond.url });
  expect([code, levels(of(/^slot \w:/))]).toEqual([1, ["ok", "warning", "serious"]]);
  expect(of(/slot a: extra.tiny-a is loaded/).length).toBe(1);
  expect(of(/Bonsai/)[0]?.advice).toBe("lemonade pull Bonsai-1.7B-gguf");
});

test.each([
  [1, ["tiny-a", "tiny-b"], 1],
  [1, ["tiny-a", "tiny-emb"], 0],
  [2, ["tiny-a", "tiny-b"], 0],
  [2, ["tiny-a", "tiny-b", "tiny-slow"], 1],
  [-1, ["tiny-a", "tiny-b"], 0],
] as const)("with room for %p of a type, slots of %p fight: %p", async (maxModels, models, fights) => {
  const labels = (id: string): string[] => (id === "tiny-emb" ? ["embeddings"] : ["chat"]);
  await using lemond = await startLemond({ maxModels, models: models.map((id) => ({ id, labels: labels(id) })) });
  const toml = models.map((model, at) => slot(`s${at}`, model)).join("");
  const { code, of } = await doctor({ toml, lemonade: lemond.url });
  expect([code, levels(of(/pushes another out/))]).toEqual([0, Array(fights).fill("warning")]);
});

test.each([
  [0, { auto_evict: true, evict_idle_timeout: 12 }, "serious"],
  [20, { auto_evict: true, evict_idle_timeout: 12 }, "serious"],
  [5, { auto_evict: true, evict_idle_timeout: 12 }, "ok"],
  [0, { auto_evict: false, evict_idle_timeout: 12 }, undefined],
  [0, {}, undefined],
] as const)("touch_s = %p with %p is %p", async (touchS, options, level) => {
  await using lemond = await startLemond();
  await lemond.load("tiny-a", options);
  const { code, of } = await doctor({ toml: `[lemonade]\ntouch_s = ${touchS}\n`, lemonade: lemond.url });
  expect([code, of(/evicts/)[0]?.level]).toEqual([level === "serious" ? 1 : 0, level]);
});

test.each<[number, object, Finding["level"] | undefined]>([
  [200, { auto_evict: true, max_loaded_models: 1 }, "serious"],
  [200, { auto_evict: false, max_loaded_models: 1 }, undefined],
  // As lemond 11.7 answers where it was never set.
  [200, { max_loaded_models: 1 }, undefined],
  [401, { error: "Invalid or missing API key" }, undefined],
])("lemond's own configuration, %p %p, with touch_s = 0 is %p", async (status, body, level) => {
  using lemond = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    routes: {
      "/v1/health": Response.json({ all_models_loaded: [], max_models: {}, version: "11.7.0" }),
      "/internal/config": Response.json(body, { status }),
    },
    fetch: () => new Response(null, { status: 404 }),
  });
  const { of } = await doctor({ toml: "[lemonade]\ntouch_s = 0\n", lemonade: lemond.url.origin });
  expect(of(/evicts/)[0]?.level).toBe(level);
});

test("a dead child that lemond still lists, and one whose pid is of another container, are warnings", async () => {
  await using old = await startLemond({ version: "10.6" });
  await old.load("tiny-a");
  await old.child("tiny-a")?.kill();
  const dead = await doctor({ lemonade: old.url });
  expect([dead.code, levels(dead.of(/nothing listens/))]).toEqual([0, ["warning"]]);
  await using hidden = await startLemond({ pids: "hidden" });
  await hidden.load("tiny-a");
  const unseen = await doctor({ lemonade: hidden.url });
  expect([unseen.code, levels(unseen.of(/cannot be seen from here/))]).toEqual([0, ["warning"]]);
});

describe("the port", () => {
  test("of a running hal0-dispatch is fine, with keys and without", async () => {
    for (const apiKeys of [[], ["client-secret"]]) {
      await using stack = await startStack({ server: { apiKeys } });
      const asked = { port: Number(new URL(stack.url).port), lemonade: stack.lemond.url };
      const environment = apiKeys.length > 0 ? `HAL0_DISPATCH_API_KEYS=${apiKeys.join()}` : null;
      expect(levels((await doctor({ ...asked, environment })).of(/hal0-dispatch runs at/))).toEqual(["ok"]);
      // Another key than the running one's: it is ours all the same.
      if (environment !== null) expect(levels((await doctor(asked)).of(/hal0-dispatch runs at/))).toEqual(["ok"]);
    }
  });

  test("of one that drains is fine too", async () => {
    using draining = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      routes: {
        "/live": Response.json({ status: "ok" }),
        "/health": Response.json({ status: "draining" }, { status: 503 }),
      },
    });
    const { of } = await doctor({ port: draining.port ?? 0 });
    expect(levels(of(/hal0-dispatch runs at/))).toEqual(["ok"]);
  });

  test("of another program is serious, also if that is another lemond or answers as llama-server does", async () => {
    await using lemond = await startLemond();
    await using other = await startLemond();
    using llama = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      routes: { "/health": Response.json({ status: "ok" }) },
      fetch: () => new Response(null, { status: 404 }),
    });
    for (const port of [other.port, llama.port ?? 0]) {
      const { code, of } = await doctor({ port, lemonade: lemond.url });
      expect([code, levels(of(/taken by another program/))]).toEqual([1, ["serious"]]);
    }
    const { code, of } = await doctor({ port: lemond.port, lemonade: lemond.url });
    expect([code, levels(of(/^--lemonade: this is the address of this server itself/))]).toEqual([1, ["serious"]]);
  });

  test("on an address that this machine does not have is serious", async () => {
    const { code, of } = await doctor({ toml: '[server]\nhost = "192.0.2.1"\nallow_anonymous = true\n' });
    expect([code, levels(of(/cannot listen at port 0 on 192\.0\.2\.1/))]).toEqual([1, ["serious"]]);
  });
});

test("an address that others reach is serious without keys, a warning where that is allowed, well with one", async () => {
  const host = '[server]\nhost = "0.0.0.0"\n';
  const without = await doctor({ toml: host });
  expect([without.code, without.found.length, levels(without.of(/no API key/))]).toEqual([1, 1, ["serious"]]);
  expect(levels((await doctor({ toml: `${host}allow_anonymous = true` })).of(/no key is set/))).toEqual(["warning"]);
  expect(
    levels((await doctor({ toml: host, environment: "HAL0_DISPATCH_API_KEYS=a,b" })).of(/2 keys are set/)),
  ).toEqual(["ok"]);
});

test("a configuration with faults is one serious finding for each", async () => {
  const { code, found } = await doctor({ toml: "[server]\nprot = 1\n[lemonade]\nurl = 1\n" });
  expect([code, levels(found)]).toEqual([1, ["serious", "serious"]]);
});

test("the executable says it in words, with what to do, and exits with 1", async () => {
  const { code, stdout, stderr } = await runBinary({
    args: ["doctor", "--port", "0", "--lemonade", "http://127.0.0.1:9"],
  });
  expect([code, stderr]).toEqual([1, ""]);
  expect(stdout).toMatch(/^serious {2}nothing listens at http:\/\/127\.0\.0\.1:9.*\n {9}→ systemctl start lemond/m);
  expect(stdout).toMatch(/^1 serious, 0 warnings, \d ok\n$/m);
});
