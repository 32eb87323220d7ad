// A hal0 host's slot files in a real folder: which become slots, with what, and how a fault in one is said.
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig, slotDefaults, type Loaded } from "../../src/config/config.ts";
import { systemFiles } from "../../src/config/files.ts";
import { readSlotFiles } from "../../src/config/slotfiles.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "dispatch-slots-"));
  mkdirSync(join(root, "slots"));
});
afterEach(() => rmSync(root, { recursive: true }));

/** Reads the folder after these files were put in it; `~` in faults and notes is the folder. */
function read(files: Readonly<Record<string, string>>) {
  for (const [name, text] of Object.entries(files)) writeFileSync(join(root, "slots", name), text);
  const faults: string[] = [];
  const notes: string[] = [];
  const folder = join(root, "slots");
  const found = readSlotFiles(
    { folder, mayBeMissing: false, defaults: slotDefaults, files: systemFiles },
    faults,
    notes,
  );
  const short = (lines: readonly string[]) => lines.map((line) => line.replaceAll(folder, "~"));
  return { slots: found.map(({ value }) => value), faults: short(faults), notes: short(notes) };
}

test("a file as hal0 writes it is a slot, and what is not ours is passed over", () => {
  const agent = `
    name = "agent"
    type = "llm"
    device = "gpu-vulkan"
    runtime = "container"
    profile = "chat"
    port = 8081
    n_gpu_layers = -1
    [model]
    default = "Qwen3-Coder"
    context_size = 65536
    defaults = { extra_args = "-x" }
    [server]
    extra_args = "--no-mmap  -fa on"
    [[unknown]]
    a = 1979-05-27`;
  const load = { ctx_size: 65536, llamacpp_args: "--no-mmap  -fa on", llamacpp_backend: "vulkan" };
  expect(read({ "agent.toml": agent })).toEqual({
    slots: [{ ...slotDefaults, name: "agent", model: "Qwen3-Coder", load }],
    faults: [],
    notes: [],
  });
});

test("the name is the file's where it says none, and slots come in the order of the files", () => {
  const { slots } = read({ "b.toml": "model.default = 'B'", "a.1.toml": "model.default = 'A'" });
  expect(slots.map(({ name, model, load }) => [name, model, load])).toEqual([
    ["a.1", "A", null],
    ["b", "B", null],
  ]);
});

test.each([
  ["it is disabled", "enabled = false\nmodel.default = 'x'"],
  ["it is of another type", "type = 'embedding'\nmodel.default = 'x'"],
  ["it is of another type, whatever else is wrong in it", "type = 'tts'\nname = '/'\nmodel = 3"],
])("a file is not read as a slot when %s", (_, text) => {
  expect(read({ "x.toml": text })).toEqual({ slots: [], faults: [], notes: [] });
});

test.each([
  ["no model", "type = 'llm'\n[model]\ncontext_size = 4096"],
  ["an empty one", "[model]\ndefault = ' '"],
  ["nothing at all", ""],
])("an enabled file with %s is passed over with a note: hal0 ships such slots", (_, text) => {
  expect(read({ "x.toml": text })).toEqual({
    slots: [],
    faults: [],
    notes: ["~/x.toml: passed over, it names no model"],
  });
});

test("other files of the folder are none of ours", () => {
  mkdirSync(join(root, "slots", "folder"));
  expect(read({ "x.toml.bak": "=", ".x.toml": "=", "notes.md": "=", toml: "=" })).toEqual({
    slots: [],
    faults: [],
    notes: [],
  });
});

test.each([
  ["device = 'gpu-rocm'", { llamacpp_backend: "rocm" }],
  ["device = 'gpu-vulkan'", { llamacpp_backend: "vulkan" }],
  ["device = 'cpu'", { llamacpp_backend: "cpu" }],
  ["device = 'npu'", null],
  ["device = 'constructor'", null],
  ["model.context_size = 0", null],
  ["model.context_size = 4096", { ctx_size: 4096 }],
  ["server.extra_args = ''", null],
  ["server.extra_args = []", null],
  ["server.extra_args = ['-a', 'b c', '']", { llamacpp_args: `-a "b c" ""` }],
  [`server.extra_args = ['--json', '{"a": 1}']`, { llamacpp_args: `--json '{"a": 1}'` }],
])("%s loads with %j", (text, load) => {
  expect(read({ "x.toml": `model.default = 'x'\n${text}` }).slots[0]?.load).toEqual(load);
});

test.each([
  ["model = []", "model: expected a table, got a list"],
  ["[[model]]\ndefault = 'x'", "model: expected a table, got a list"],
  ["model.default = 5", "model.default: expected a text"],
  ["model.context_size = -1", "model.context_size: expected a whole number from 0 to 1000000000, got -1"],
  ["model.context_size = nan", "model.context_size: expected a whole number from 0 to 1000000000, got NaN"],
  ["server = 'x'", 'server: expected a table, got "x"'],
  ["server.extra_args = [1]", "server.extra_args: expected a text or a list of texts"],
  ["enabled = 'yes'", 'enabled: expected true or false, got "yes"'],
  ["type = 1", "type: expected a text"],
  ["name = 'a/b'", "name: expected a name of 1 to 64 letters, digits, '.', '_' or '-', got \"a/b\""],
])("a fault names the file and the key: %s", (text, fault) => {
  expect(read({ "x.toml": text })).toEqual({ slots: [], faults: [`~/x.toml: ${fault}`], notes: [] });
});

test("every file's faults are told at once, a syntax error with its line and a folder too", () => {
  mkdirSync(join(root, "slots", "c.toml"));
  expect(
    read({ "a.toml": "name = 'a'\nport = = 1", "b.toml": "enabled = 1", "d.toml": "model.default = 'd'" }),
  ).toMatchObject({
    slots: [{ name: "d" }],
    faults: [
      "~/a.toml:2:8: Expected a value but found '='",
      "~/b.toml: enabled: expected true or false, got 1",
      "~/c.toml is a folder, not a file",
    ],
  });
});

/** The whole configuration, with a file of this text beside the folder. */
function load(toml: string): Loaded {
  const config = join(root, "dispatch.toml");
  writeFileSync(config, toml);
  return loadConfig({ args: { config }, env: {}, ownHosts: () => [], ...systemFiles });
}

test("slots_dir is read beside [slots], relative to the configuration file, and shares its rules", () => {
  read({ "host.toml": "model.default = 'H'", "empty.toml": "" });
  const own = (name: string, model: string) => `slots_dir = "slots"\n[slots.${name}]\nmodel = "${model}"`;
  const loaded = load(own("own", "O"));
  expect(loaded.ok && loaded.config.slots.map(({ name }) => name)).toEqual(["own", "host"]);
  expect(loaded.ok && loaded.notes).toEqual([`${join(root, "slots", "empty.toml")}: passed over, it names no model`]);
  read({ "host.toml": "model.default = 'H'", "events.toml": "model.default = 'E'" });
  expect(load(own("host", "H"))).toMatchObject({
    ok: false,
    faults: [
      `${join(root, "slots", "events.toml")}: name: a slot cannot be called "events", /api/slots/events is the feed`,
      `${join(root, "slots", "host.toml")}: name: the name "host" is taken by slots.host`,
      `${join(root, "slots", "host.toml")}: model.default: the model is that of slots.host.model, and a model can have one slot only`,
    ],
  });
});

test("the usual folder is read where there is no [slots], and only there", () => {
  const listed: string[] = [];
  const from = (toml: string, slotFile = "model.default = 'H'") =>
    loadConfig({
      args: {},
      env: {},
      ownHosts: () => [],
      readFile: (path) => (path === "/etc/hal0/dispatch.toml" ? toml : slotFile),
      listFolder: (path) => {
        listed.push(path);
        return ["host.toml"];
      },
    });
  const found = from("");
  expect(found.ok && found.config.slots.map(({ name }) => name)).toEqual(["host"]);
  expect(listed).toEqual(["/etc/hal0/slots"]);
  const without = from("[slots]");
  expect(without.ok && without.config.slots).toEqual([]);
  expect(listed).toHaveLength(1);
});

test("a usual folder that is there and cannot be read is a fault, one that is not there is none", () => {
  const from = (code: string) => {
    const fail = (code: string) => (): never => {
      throw Object.assign(new Error(code), { code });
    };
    return loadConfig({ args: {}, env: {}, ownHosts: () => [], readFile: fail("ENOENT"), listFolder: fail(code) });
  };
  expect(from("ENOENT").ok).toBe(true);
  expect(from("EACCES")).toMatchObject({ faults: ["slots_dir: /etc/hal0/slots cannot be read: permission denied"] });
});
