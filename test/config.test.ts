// What a configuration becomes, and how each fault in one is said. No sockets; files are a record unless the test is of files.
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Flags } from "../src/args.ts";
import { loadConfig, slotDefaults, type Config, type Loaded } from "../src/config.ts";
import { describeConfig } from "../src/config/describe.ts";
import { systemFiles, type Files } from "../src/config/files.ts";

const FILE = "/etc/hal0/dispatch.toml";
const SECRET = "sk-very-secret-0123456789";

/** A file system of these files alone; `null` is a file that may not be read. */
function filesOf(content: Readonly<Record<string, string | null>>): Files {
  const fail = (code: string): never => {
    throw Object.assign(new Error(code), { code });
  };
  return {
    readFile: (path) => {
      const text = content[path];
      return text === undefined ? fail("ENOENT") : (text ?? fail("EACCES"));
    },
    listFolder: (path) => {
      const names = Object.keys(content).filter((name) => name.startsWith(`${path}/`));
      return names.length === 0 ? fail("ENOENT") : names.map((name) => name.slice(path.length + 1));
    },
  };
}

interface Given {
  toml?: string;
  args?: Flags;
  env?: Record<string, string>;
  files?: Record<string, string | null>;
}

function load({ toml, args = {}, env = {}, files = {} }: Given): Loaded {
  return loadConfig({ args, env, ...filesOf({ ...files, ...(toml !== undefined && { [FILE]: toml }) }) });
}

function configOf(given: Given): Config {
  const loaded = load(given);
  if (!loaded.ok) throw new Error(loaded.faults.join("\n"));
  return loaded.config;
}

function faultsOf(given: Given): readonly string[] {
  const loaded = load(given);
  return loaded.ok ? [] : loaded.faults;
}

test("no file is needed, and the defaults are those of the README", () => {
  const loaded = load({});
  expect(loaded).toEqual({
    ok: true,
    source: null,
    notes: [],
    config: {
      server: {
        host: "127.0.0.1",
        port: 8080,
        apiKeys: [],
        maxBodyBytes: 64 * 1024 * 1024,
        firstByteTimeoutMs: 3_600_000,
        logLevel: "info",
        maxWaiting: 256,
        drainMs: 30_000,
        allowAnonymous: false,
        allowedHosts: [],
        corsOrigins: [],
      },
      lemonade: {
        url: "http://127.0.0.1:13305",
        apiKey: null,
        loadTimeoutMs: 600_000,
        pollMs: 1000,
        touchMs: 20_000,
        autoSlots: true,
      },
      slots: [],
      upstreams: [],
    },
  });
});

test("every key of the file arrives, in the unit that its name says", () => {
  const toml = `
    [server]
    host = "[::1]"
    port = 0
    api_keys = [" one ", "", "two", "one"]
    max_body_mb = 0.5
    first_byte_timeout_s = 0
    log_level = "warn"
    max_waiting = 3
    drain_s = 1.5
    allow_anonymous = true
    allowed_hosts = ["NAS.lan:8080", "[fd00::1]:80", "ai"]
    cors_origins = ["https://Chat.example:443/", "tauri://localhost", "*"]
    [lemonade]
    url = "http://Box:13305/"
    api_key_env = "MY_LEMONADE_KEY"
    load_timeout_s = 10
    poll_s = 0.05
    touch_s = 0.2
    auto_slots = false
    [slots.primary]
    model = "Qwen3"
    aliases = ["gpt-4o", "openai/gpt 5"]
    default = true
    gate = "hold"
    hold_s = 0.0001
    idle_after_s = 2
    load = { ctx_size = 4096, nested = { any = ["thing", 1] } }
    [slots."b.2"]
    model = "Gemma"
    [upstreams.router]
    url = "https://openrouter.ai/api/v1/"
    api_key_env = "ROUTER_KEY"
    models = ["openai/*", "x"]
    [upstreams.vllm]
    url = "http://10.0.0.2:8000"
    models = ["*"]`;
  expect(configOf({ toml, env: { MY_LEMONADE_KEY: " lemon ", ROUTER_KEY: "router" } })).toEqual({
    server: {
      host: "::1",
      port: 0,
      apiKeys: ["one", "two"],
      maxBodyBytes: 512 * 1024,
      firstByteTimeoutMs: 0,
      logLevel: "warn",
      maxWaiting: 3,
      drainMs: 1500,
      allowAnonymous: true,
      allowedHosts: ["nas.lan:8080", "[fd00::1]:80", "ai"],
      corsOrigins: ["https://chat.example", "tauri://localhost", "*"],
    },
    lemonade: {
      url: "http://box:13305",
      apiKey: "lemon",
      loadTimeoutMs: 10_000,
      pollMs: 50,
      touchMs: 200,
      autoSlots: false,
    },
    slots: [
      {
        name: "primary",
        model: "Qwen3",
        aliases: ["gpt-4o", "openai/gpt 5"],
        isDefault: true,
        gate: "hold",
        holdMs: 1, // A positive time never becomes 0, which would mean none.
        idleAfterMs: 2000,
        load: { ctx_size: 4096, nested: { any: ["thing", 1] } },
      },
      { ...slotDefaults, name: "b.2", model: "Gemma" },
    ],
    upstreams: [
      { name: "router", url: "https://openrouter.ai/api/v1", apiKey: "router", models: ["openai/*", "x"] },
      { name: "vllm", url: "http://10.0.0.2:8000", apiKey: null, models: ["*"] },
    ],
  });
});

test("flags go before environment, environment before file", () => {
  const toml = `
    [server]
    host = "127.0.0.3"
    port = 3
    log_level = "error"
    [lemonade]
    url = "http://file:3"`;
  const env = {
    HAL0_DISPATCH_HOST: "127.0.0.2",
    HAL0_DISPATCH_PORT: "2",
    HAL0_DISPATCH_LOG: "debug",
    HAL0_DISPATCH_LEMONADE_URL: "http://env:2",
  };
  const args = { host: "127.0.0.1", port: "1", lemonade: "http://flag:1" };
  const seen = (given: Given) => {
    const { server, lemonade } = configOf({ toml, ...given });
    return [server.host, server.port, server.logLevel, lemonade.url];
  };
  expect(seen({})).toEqual(["127.0.0.3", 3, "error", "http://file:3"]);
  expect(seen({ env })).toEqual(["127.0.0.2", 2, "debug", "http://env:2"]);
  expect(seen({ env, args })).toEqual(["127.0.0.1", 1, "debug", "http://flag:1"]);
  expect(seen({ env: { HAL0_DISPATCH_PORT: "" } })).toEqual(["127.0.0.3", 3, "error", "http://file:3"]);
});

test("the file is the one of --config, else of the environment, else the usual one", () => {
  const files = { "/a.toml": "[server]\nport = 1", "/b.toml": "[server]\nport = 2" };
  const toml = "[server]\nport = 3";
  const env = { HAL0_DISPATCH_CONFIG: "/b.toml" };
  const seen = (given: Given) => {
    const loaded = load({ toml, files, ...given });
    return loaded.ok ? [loaded.source, loaded.config.server.port] : loaded.faults;
  };
  expect(seen({ env, args: { config: "/a.toml" } })).toEqual(["/a.toml", 1]);
  expect(seen({ env })).toEqual(["/b.toml", 2]);
  expect(seen({})).toEqual([FILE, 3]);
  expect(seen({ env, args: { config: "/none.toml" } })).toEqual(["--config: /none.toml does not exist"]);
  expect(seen({ env: { HAL0_DISPATCH_CONFIG: "/none" } })).toEqual(["HAL0_DISPATCH_CONFIG: /none does not exist"]);
  expect(seen({ args: { config: "" } })).toEqual(["--config:  does not exist"]);
  expect(faultsOf({ files: { [FILE]: null } })).toEqual([`${FILE} cannot be read: permission denied`]);
});

/** File → exactly these faults, in this order. */
const FAULTS: readonly [title: string, toml: string, ...faults: string[]][] = [
  [
    "a misspelt key, with the one that was meant",
    '[slots.primary]\nmodel = "x"\nmodle = "y"',
    'slots.primary.modle: unknown key, did you mean "model"?',
  ],
  ["a missing model", "[slots.primary]", "slots.primary.model: is missing"],
  ["an unknown table", "[sever]\nport = 1", 'sever: unknown key, did you mean "server"?'],
  ["a key that is like no other", "[server]\nzzzzzz = 1", "server.zzzzzz: unknown key"],
  ["a key at the wrong level", 'model = "x"', "model: unknown key"],
  [
    "keys of every object in JavaScript",
    "__proto__ = 1\nconstructor = 1\ntoString = 1",
    "__proto__: unknown key",
    "constructor: unknown key",
    "toString: unknown key",
  ],
  ["the same inside a section", "[server.__proto__]\nport = 1", "server.__proto__: unknown key"],
  ["a key with odd signs, in quotes", '[server]\n"a\\nb" = 1', 'server."a\\nb": unknown key'],
  ["text for a number", '[server]\nport = "abc"', 'server.port: expected a whole number from 0 to 65535, got "abc"'],
  ["a port too high", "[server]\nport = 65536", "server.port: expected a whole number from 0 to 65535, got 65536"],
  ["half a port", "[server]\nport = 80.5", "server.port: expected a whole number from 0 to 65535, got 80.5"],
  ["nan", "[server]\ndrain_s = nan", "server.drain_s: expected seconds, a number from 0 to 1000000, got NaN"],
  ["inf", "[lemonade]\ntouch_s = inf", "lemonade.touch_s: expected seconds, a number from 0 to 1000000, got Infinity"],
  [
    "a number that overflows to inf",
    "[lemonade]\npoll_s = 1e400",
    "lemonade.poll_s: expected seconds, a number from 0.01 to 1000000, got Infinity",
  ],
  [
    "a time below zero",
    "[server]\ndrain_s = -1",
    "server.drain_s: expected seconds, a number from 0 to 1000000, got -1",
  ],
  [
    "never polling",
    "[lemonade]\npoll_s = 0",
    "lemonade.poll_s: expected seconds, a number from 0.01 to 1000000, got 0",
  ],
  [
    "a body limit of nothing",
    "[server]\nmax_body_mb = 0",
    "server.max_body_mb: expected megabytes, a number above 0 up to 4096, got 0",
  ],
  ["a list for a table", "[[server]]\nport = 1", "server: expected a table, got a list"],
  ["a list of slots", '[[slots]]\nmodel = "x"', "slots: expected a table, got a list"],
  ["a list for a slot", '[[slots.a]]\nmodel = "x"', "slots.a: expected a table, got a list"],
  ["text for a slot", '[slots]\nprimary = "Qwen3"', 'slots.primary: expected a table, got "Qwen3"'],
  ["a date for a table", "server = 1979-05-27", "server: expected a table, got a date or time"],
  [
    "a date for text",
    "[server]\nhost = 1979-05-27",
    "server.host: expected a host name or IP address, got a date or time",
  ],
  [
    "a list for load",
    "[slots.a]\nmodel = 'x'\nload = [1]",
    "slots.a.load: expected a table of texts, numbers, true, false, lists and tables, got a list",
  ],
  [
    "an option that JSON lacks",
    "[slots.a]\nmodel = 'x'\nload = { a = [{ b = nan }] }",
    "slots.a.load: expected a table of texts, numbers, true, false, lists and tables, got a table",
  ],
  [
    "a level that is none",
    '[server]\nlog_level = "loud"',
    'server.log_level: expected one of "debug", "info", "warn", "error", got "loud"',
  ],
  [
    "a gate that is none",
    "[slots.a]\nmodel = 'x'\ngate = true",
    'slots.a.gate: expected one of "reject", "hold", got true',
  ],
  ["text for a switch", '[lemonade]\nauto_slots = "no"', 'lemonade.auto_slots: expected true or false, got "no"'],
  [
    "an empty host, which is every address",
    '[server]\nhost = ""',
    'server.host: expected a host name or IP address, got ""',
  ],
  [
    "a host with a port",
    '[server]\nhost = "127.0.0.1:80"',
    'server.host: expected a host name or IP address, got "127.0.0.1:80"',
  ],
  [
    "an allowed host that is a URL",
    '[server]\nallowed_hosts = ["a", "http://b"]',
    'server.allowed_hosts[1]: expected a host name, with or without a port, got "http://b"',
  ],
  [
    "an origin with a path",
    '[server]\ncors_origins = ["https://a/b"]',
    'server.cors_origins[0]: expected an origin such as "https://chat.example", or "*", got "https://a/b"',
  ],
  ["an empty model", '[slots.a]\nmodel = " "', 'slots.a.model: expected a name without spaces around it, got " "'],
  [
    "an empty alias",
    '[slots.a]\nmodel = "x"\naliases = [""]',
    'slots.a.aliases[0]: expected a name without spaces around it, got ""',
  ],
  [
    "an empty slot name",
    '[slots.""]\nmodel = "x"',
    "slots.\"\": expected a name of 1 to 64 letters, digits, '.', '_' or '-', got \"\"",
  ],
  [
    "a slot name with a slash",
    '[slots."a/b"]\nmodel = "x"',
    "slots.\"a/b\": expected a name of 1 to 64 letters, digits, '.', '_' or '-', got \"a/b\"",
  ],
  [
    "an upstream name that is too long",
    `[upstreams.${"n".repeat(65)}]\nurl = "http://a"\nmodels = ["a"]`,
    `upstreams.${"n".repeat(65)}: expected a name of 1 to 64 letters, digits, '.', '_' or '-', got "${"n".repeat(40)}…"`,
  ],
  [
    "an upstream without models",
    '[upstreams.a]\nurl = "http://a"\nmodels = []',
    "upstreams.a.models: expected at least one name or pattern",
  ],
  ["an upstream of nothing", "[upstreams.a]", "upstreams.a.url: is missing", "upstreams.a.models: is missing"],
  [
    "a lemond with a path",
    '[lemonade]\nurl = "http://a/api/v1"',
    "lemonade.url: expected an http:// or https:// URL without path, user or query",
  ],
  [
    "another scheme",
    '[upstreams.a]\nurl = "ftp://a"\nmodels = ["a"]',
    "upstreams.a.url: expected an http:// or https:// URL without user or query",
  ],
  [
    "a host without a scheme",
    '[lemonade]\nurl = "127.0.0.1:13305"',
    "lemonade.url: expected an http:// or https:// URL without path, user or query",
  ],
  ["a folder of slot files that is not there", 'slots_dir = "/none"', "slots_dir: /none does not exist"],
  ["a folder that is a number", "slots_dir = 1", "slots_dir: expected a path, got 1"],
  [
    "two slots with one model",
    '[slots.a]\nmodel = "extra.Q"\n[slots.b]\nmodel = "user.Q"',
    "slots.b.model: the model is that of slots.a.model, and a model can have one slot only",
  ],
  [
    "a remote with a slot's name",
    '[slots.a]\nmodel = "x"\n[upstreams.a]\nurl = "http://a"\nmodels = ["y"]',
    'upstreams.a: the name "a" is taken by slots.a',
  ],
  [
    "an alias that is a slot's name",
    '[slots.a]\nmodel = "x"\naliases = ["b"]\n[slots.b]\nmodel = "y"',
    'slots.a.aliases[0]: the name "b" is taken by slots.b',
  ],
  [
    "an alias that is a remote's name",
    '[slots.a]\nmodel = "x"\naliases = ["r"]\n[upstreams.r]\nurl = "http://a"\nmodels = ["y"]',
    'slots.a.aliases[0]: the name "r" is taken by upstreams.r',
  ],
  [
    "one alias twice",
    '[slots.a]\nmodel = "x"\naliases = ["q"]\n[slots.b]\nmodel = "y"\naliases = ["q"]',
    'slots.b.aliases[0]: the name "q" is taken by slots.a.aliases[0]',
  ],
  [
    "two defaults",
    '[slots.a]\nmodel = "x"\ndefault = true\n[slots.b]\nmodel = "y"\ndefault = true',
    "slots.b.default: the default is slots.a.default already",
  ],
  [
    "one pattern twice",
    '[upstreams.a]\nurl = "http://a"\nmodels = ["p/*"]\n[upstreams.b]\nurl = "http://b"\nmodels = ["q", "p/*"]',
    'upstreams.b.models[1]: "p/*" is in upstreams.a.models[0] already',
  ],
  [
    "an upstream's key that is not set",
    '[upstreams.a]\nurl = "http://a"\nmodels = ["p"]\napi_key_env = "A_KEY"',
    "upstreams.a.api_key_env: A_KEY is not set in the environment",
  ],
  [
    "lemond's key that is named and not set",
    '[lemonade]\napi_key_env = "OTHER_KEY"',
    "lemonade.api_key_env: OTHER_KEY is not set in the environment",
  ],
  ["keys that are all empty", '[server]\napi_keys = ["", " "]', "server.api_keys: holds no key"],
  [
    "an address that others reach, without keys",
    '[server]\nhost = "0.0.0.0"',
    "server.host: other machines can reach 0.0.0.0, and there is no API key: set server.api_keys or HAL0_DISPATCH_API_KEYS, or pass --allow-anonymous",
  ],
  [
    "all faults at once",
    "[server]\nport = -1\nprt = 1\n[lemonade]\nurl = 1\n[slots.a]\n[slots.b]\nmodel = 2\nx = 1",
    'server.prt: unknown key, did you mean "port"?',
    "server.port: expected a whole number from 0 to 65535, got -1",
    "lemonade.url: expected an http:// or https:// URL without path, user or query, got a number",
    "slots.a.model: is missing",
    "slots.b.x: unknown key",
    "slots.b.model: expected a name without spaces around it, got 2",
  ],
];

test.each(FAULTS)("a fault is said: %s", (_, toml, ...faults) => {
  expect(faultsOf({ toml })).toEqual(faults);
});

test("a fault in a flag or a variable names it", () => {
  const url = "expected an http:// or https:// URL without path, user or query";
  const number = "expected a whole number from 0 to 65535";
  expect(faultsOf({ args: { port: "80x", lemonade: "x" } })).toEqual([
    `--port: ${number}, got "80x"`,
    `--lemonade: ${url}`,
  ]);
  expect(faultsOf({ args: { port: "" } })).toEqual([`--port: ${number}, got ""`]);
  expect(faultsOf({ env: { HAL0_DISPATCH_PORT: "70000", HAL0_DISPATCH_LOG: "x" } })).toEqual([
    `HAL0_DISPATCH_PORT: ${number}, got 70000`,
    'HAL0_DISPATCH_LOG: expected one of "debug", "info", "warn", "error", got "x"',
  ]);
});

test("slots named as JavaScript's own properties are slots", () => {
  const toml = ["__proto__", "constructor", "toString"]
    .map((name) => `[slots.${name}]\nmodel = "m-${name}"`)
    .join("\n");
  expect(configOf({ toml }).slots.map(({ name, model }) => [name, model])).toEqual([
    ["__proto__", "m-__proto__"],
    ["constructor", "m-constructor"],
    ["toString", "m-toString"],
  ]);
});

const SYNTAX: readonly [title: string, toml: string, fault: string][] = [
  ["a value without quotes", `[server]\nhost = "x"\napi_keys = ["a", true, ${SECRET}]`, "3:24: Strings must be quoted"],
  ["no value", "[server]\r\nport =\r\n", "2:7: Missing value after '='; values must be on the same line"],
  [
    "a string without an end",
    `a = 1\nkey = "${SECRET}\n`,
    "2:33: Unterminated string; newlines must be escaped in basic strings",
  ],
  [
    "the same table twice",
    `[a]\nx = 1\n[${SECRET}]\n[b]\n[${SECRET}]\n`,
    `5:${SECRET.length + 2}: Cannot redefine table`,
  ],
  ["the same key twice", `${SECRET} = 1\n${SECRET} = 2\n`, `2:${SECRET.length + 4}: Cannot redefine key`],
  [
    "an integer beyond JavaScript's",
    "a = 9223372036854775807",
    "1:20: Integer cannot be losslessly represented as a JavaScript number; it must be within +/-(2^53 - 1)",
  ],
  ["nesting without end", `a = ${"[".repeat(200_000)}`, "1:"],
];

test.each(SYNTAX)("broken TOML is said with line and column, and without its content: %s", (_, toml, fault) => {
  const faults = faultsOf({ toml, args: { port: "bad" } });
  expect(faults).toHaveLength(1);
  expect(faults[0]).toStartWith(`${FILE}:${fault}`);
  expect(faults[0]).not.toContain("secret");
});

test("keys come from the list or the environment in its place, and from a file on top", () => {
  const toml = '[server]\napi_keys = ["a"]\napi_keys_file = "keys"';
  const files = { "/etc/hal0/keys": "\uFEFF# phone\r\n  f1 \r\n\r\na\nf2" };
  expect(configOf({ toml, files }).server.apiKeys).toEqual(["a", "f1", "f2"]);
  expect(configOf({ toml, files, env: { HAL0_DISPATCH_API_KEYS: "e1, e2,," } }).server.apiKeys).toEqual([
    "e1",
    "e2",
    "f1",
    "a",
    "f2",
  ]);
  expect(configOf({ toml, files, env: { HAL0_DISPATCH_API_KEYS: "" } }).server.apiKeys).toEqual(["a", "f1", "f2"]);
});

test("a source of keys that holds none is a fault: it was meant to protect", () => {
  const toml = '[server]\napi_keys_file = "/keys"';
  expect(faultsOf({ toml })).toEqual(["server.api_keys_file: /keys does not exist"]);
  expect(faultsOf({ toml, files: { "/keys": null } })).toEqual([
    "server.api_keys_file: /keys cannot be read: permission denied",
  ]);
  expect(faultsOf({ toml, files: { "/keys": "\n# none\n" } })).toEqual(["server.api_keys_file: /keys: holds no key"]);
  expect(faultsOf({ env: { HAL0_DISPATCH_API_KEYS: " , " } })).toEqual(["HAL0_DISPATCH_API_KEYS: holds no key"]);
});

test("an address beyond loopback wants keys, or to be told that it needs none", () => {
  const args = { host: "192.168.1.5" };
  expect(faultsOf({ args })[0]).toStartWith("--host: other machines can reach 192.168.1.5, and there is no API key: ");
  expect(faultsOf({ env: { HAL0_DISPATCH_HOST: "::" } })[0]).toStartWith(
    "HAL0_DISPATCH_HOST: other machines can reach ::",
  );
  expect(configOf({ args, env: { HAL0_DISPATCH_API_KEYS: "k" } }).server.allowAnonymous).toBe(false);
  expect(configOf({ args: { ...args, allowAnonymous: true } }).server.allowAnonymous).toBe(true);
  expect(configOf({ args, toml: "[server]\nallow_anonymous = true" }).server.host).toBe("192.168.1.5");
});

/** Secrets wherever somebody may have put one, each in a file that is at fault for it. */
const LEAKS: readonly [title: string, given: Given][] = [
  ["keys that are no list", { toml: `[server]\napi_keys = "${SECRET}"` }],
  ["a key among numbers", { toml: `[server]\napi_keys = ["${SECRET}", 1]` }],
  ["keys as a table", { toml: `[server]\napi_keys = { "${SECRET}" = true }` }],
  ["a key with a space", { toml: `[server]\napi_keys = ["${SECRET} ${SECRET}"]` }],
  ["a key that no header carries, in the environment", { env: { HAL0_DISPATCH_API_KEYS: `${SECRET}ü` } }],
  ["a key in a file", { toml: '[server]\napi_keys_file = "/k"', files: { "/k": `Bearer ${SECRET}` } }],
  [
    "a key for the name of its variable",
    { toml: `[upstreams.a]\nurl = "http://a"\nmodels = ["a"]\napi_key_env = "${SECRET}"` },
  ],
  ["one that could be a name", { toml: '[lemonade]\napi_key_env = "gsk_verysecret0123456789"' }],
  ["a user in a URL", { toml: `[lemonade]\nurl = "http://me:${SECRET}@a"` }],
  ["a key in a URL's query", { toml: `[upstreams.a]\nurl = "http://a/?key=${SECRET}"\nmodels = ["a"]` }],
  ["a user in a URL on the command line", { args: { lemonade: `http://${SECRET}@a` } }],
  [
    "a remote's key with a line break",
    { toml: '[upstreams.a]\nurl = "http://a"\nmodels = ["a"]\napi_key_env = "K"', env: { K: `${SECRET}\nx` } },
  ],
];

test.each(LEAKS)("no fault repeats a secret: %s", (_, given) => {
  const faults = faultsOf(given);
  expect(faults).toHaveLength(1);
  expect(faults.join()).not.toMatch(/secret\b|secret-|verysecret/);
});

test("what --check prints is the configuration without its secrets", () => {
  const toml = `
    [server]
    api_keys = ["${SECRET}", "${SECRET}2"]
    [slots.primary]
    model = "Qwen3"
    load = { ctx_size = 4096, llamacpp_args = "--no-mmap --api-key '${SECRET} x' --hf-token=${SECRET}", auth_token = "${SECRET}" }
    [slots."b.2"]
    model = "Gemma"
    [upstreams.router]
    url = "https://gateway.example/v1/${SECRET}/openai/"
    api_key_env = "K"
    models = ["openai/*"]`;
  const config = configOf({ toml, env: { K: SECRET, LEMONADE_API_KEY: SECRET } });
  const text = describeConfig({
    ...config,
    lemonade: { ...config.lemonade, url: `http://u:${SECRET}@a/?k=${SECRET}` },
  });
  expect(text).not.toContain("secret");
  expect(text.split("\n")).toEqual([
    "[server]",
    'host = "127.0.0.1"',
    "port = 8080",
    "api_keys = (2 keys)",
    "max_body_mb = 64",
    "first_byte_timeout_s = 3600",
    'log_level = "info"',
    "max_waiting = 256",
    "drain_s = 30",
    "allow_anonymous = false",
    "allowed_hosts = []",
    "cors_origins = []",
    "",
    "[lemonade]",
    'url = "http://a"',
    "api_key = (set)",
    "load_timeout_s = 600",
    "poll_s = 1",
    "touch_s = 20",
    "auto_slots = true",
    "",
    "[slots.primary]",
    'model = "Qwen3"',
    "aliases = []",
    "default = false",
    'gate = "reject"',
    "hold_s = 180",
    "idle_after_s = 300",
    'load = {"ctx_size":4096,"llamacpp_args":"--no-mmap --api-key (set) --hf-token=(set)","auth_token":"(set)"}',
    "",
    '[slots."b.2"]',
    'model = "Gemma"',
    "aliases = []",
    "default = false",
    'gate = "reject"',
    "hold_s = 180",
    "idle_after_s = 300",
    "# load: the options last seen for the model",
    "",
    "[upstreams.router]",
    'url = "https://gateway.example/v1/…/openai"',
    "api_key = (set)",
    'models = ["openai/*"]',
  ]);
  expect(describeConfig(configOf({}))).toEndWith("# no slots: each model of lemond is served under its own name");
});

test("real files are read, and one that cannot be is a fault", () => {
  const folder = mkdtempSync(join(tmpdir(), "dispatch-config-"));
  try {
    const path = join(folder, "dispatch.toml");
    writeFileSync(path, '[server]\nport = 7\napi_keys_file = "keys"');
    writeFileSync(join(folder, "keys"), "k1\n");
    const seen = loadConfig({ args: { config: path }, env: {}, ...systemFiles });
    expect(seen.ok && [seen.source, seen.config.server.port, seen.config.server.apiKeys]).toEqual([path, 7, ["k1"]]);
    const asFolder = loadConfig({ args: { config: folder }, env: {}, ...systemFiles });
    expect(asFolder).toEqual({ ok: false, source: null, faults: [`--config: ${folder} is a folder, not a file`] });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
