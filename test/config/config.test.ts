// What a configuration becomes, where it comes from, and what --check prints of it. No sockets; files are a record unless the test is of files.
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig, slotDefaults } from "../../src/config/config.ts";
import { describeConfig } from "../../src/config/describe.ts";
import { systemFiles } from "../../src/config/files.ts";
import { configOf, FILE, faultsOf, load, SECRET, type Given } from "../configured.ts";

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
        adminKeys: [],
        maxBodyBytes: 64 * 1024 * 1024,
        maxReplyBytes: 64 * 1024 * 1024,
        firstByteTimeoutMs: 3_600_000,
        heartbeatMs: 5000,
        passthrough: true,
        logLevel: "info",
        logFormat: "auto",
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
        internal: false,
        maxRequests: null,
      },
      lemonades: [],
      slots: [],
      upstreams: [],
      order: [],
    },
  });
});

test("every key of the file arrives, in the unit that its name says", () => {
  const toml = `
    [server]
    host = "[::1]"
    port = 0
    api_keys = [" one ", "", "two", "one"]
    admin_keys = ["root"]
    max_body_mb = 0.5
    max_reply_mb = 2
    first_byte_timeout_s = 0
    heartbeat_s = 1.5
    passthrough = false
    log_level = "warn"
    log_format = "text"
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
    internal = true
    max_requests = 2
    [lemonades.big]
    url = "http://10.0.0.3:13305"
    api_key_env = "BIG_KEY"
    load_timeout_s = 20
    poll_s = 2
    touch_s = 3
    max_requests = 8
    [lemonades.second]
    url = "http://10.0.0.4:13305"
    [slots.primary]
    model = "Qwen3"
    aliases = ["gpt-4o", "openai/gpt 5"]
    default = true
    gate = "hold"
    hold_s = 0.0001
    idle_after_s = 2
    via = "lemond"
    keep = true
    continue = false
    fallback = ["b.2", { upstream = "router", model = "x" }, { upstream = "exact" }]
    fallback_after_s = 4
    lemonade = "big"
    load = { ctx_size = 4096, nested = { any = ["thing", 1] } }
    [slots."b.2"]
    model = "Gemma"
    [upstreams.router]
    url = "https://openrouter.ai/api/v1/"
    api_key_env = "ROUTER_KEY"
    models = ["openai/*", "x"]
    [upstreams.vllm]
    url = "http://10.0.0.2:8000"
    models = ["*"]
    [upstreams.exact]
    url = "http://10.0.0.2:8001"
    models = ["first", "second"]`;
  expect(configOf({ toml, env: { BIG_KEY: "big", MY_LEMONADE_KEY: " lemon ", ROUTER_KEY: "router" } })).toEqual({
    server: {
      host: "::1",
      port: 0,
      apiKeys: ["one", "two"],
      adminKeys: ["root"],
      maxBodyBytes: 512 * 1024,
      maxReplyBytes: 2 * 1024 * 1024,
      firstByteTimeoutMs: 0,
      heartbeatMs: 1500,
      passthrough: false,
      logLevel: "warn",
      logFormat: "text",
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
      internal: true,
      maxRequests: 2,
    },
    lemonades: [
      {
        name: "big",
        url: "http://10.0.0.3:13305",
        apiKey: "big",
        loadTimeoutMs: 20_000,
        pollMs: 2000,
        touchMs: 3000,
        autoSlots: false,
        internal: false,
        maxRequests: 8,
      },
      {
        name: "second",
        url: "http://10.0.0.4:13305",
        apiKey: null,
        loadTimeoutMs: 600_000,
        pollMs: 1000,
        touchMs: 20_000,
        autoSlots: false,
        internal: false,
        maxRequests: null,
      },
    ],
    slots: [
      {
        name: "primary",
        model: "Qwen3",
        aliases: ["gpt-4o", "openai/gpt 5"],
        isDefault: true,
        gate: "hold",
        holdMs: 1, // A positive time never becomes 0, which would mean none.
        idleAfterMs: 2000,
        via: "lemond",
        keep: true,
        isContinued: false,
        fallback: [
          { upstream: "b.2", model: null },
          { upstream: "router", model: "x" },
          { upstream: "exact", model: "first" }, // A remote without patterns that is named alone.
        ],
        fallbackAfterMs: 4000,
        lemonade: "big",
        load: { ctx_size: 4096, nested: { any: ["thing", 1] } },
      },
      { ...slotDefaults, name: "b.2", model: "Gemma" },
    ],
    upstreams: [
      { name: "router", url: "https://openrouter.ai/api/v1", apiKey: "router", models: ["openai/*", "x"] },
      { name: "vllm", url: "http://10.0.0.2:8000", apiKey: null, models: ["*"] },
      { name: "exact", url: "http://10.0.0.2:8001", apiKey: null, models: ["first", "second"] },
    ],
    order: ["primary", "b.2", "router", "vllm", "exact"],
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

test("the order is that of the file, whichever section a name is in and however it is written", () => {
  const toml = `
    [slots.9]
    model = "b"
    load = { llamacpp_args = """
[slots.none]
""" }
    [upstreams."quoted"]
    url = "http://c"
    models = ["c"]
    [slots.2]
    model = "e"
    [upstreams]
    inline = { url = "http://f", models = ["f"] }
      [slots.__proto__]
    model = "g"`;
  expect(configOf({ toml }).order).toEqual(["9", "quoted", "2", "inline", "__proto__"]);
  expect(configOf({ toml: 'upstreams.dotted = { url = "http://a", models = ["a"] }' }).order).toEqual(["dotted"]);
  const files = { "/slots/z.toml": 'model.default = "Z"', "/slots/y.toml": 'model.default = "Y"' };
  const last = 'slots_dir = "/slots"\n[upstreams.r]\nurl = "http://a"\nmodels = ["a"]\n[slots.s]\nmodel = "x"';
  expect(configOf({ toml: last, files }).order).toEqual(["r", "s", "y", "z"]);
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

test("admin keys have a list, a file and a variable of their own", () => {
  const toml = '[server]\nadmin_keys = ["a"]\nadmin_keys_file = "admins"';
  const files = { "/etc/hal0/admins": "f" };
  const seen = (env: Record<string, string>) => {
    const { apiKeys, adminKeys } = configOf({ toml, files, env }).server;
    return [apiKeys, adminKeys];
  };
  expect(seen({})).toEqual([[], ["a", "f"]]);
  expect(seen({ HAL0_DISPATCH_ADMIN_KEYS: "e1,e2" })).toEqual([[], ["e1", "e2", "f"]]);
  expect(seen({ HAL0_DISPATCH_API_KEYS: "k" })).toEqual([["k"], ["a", "f"]]);
  expect(faultsOf({ toml })).toEqual(["server.admin_keys_file: /etc/hal0/admins does not exist"]);
  expect(faultsOf({ env: { HAL0_DISPATCH_ADMIN_KEYS: "," } })).toEqual(["HAL0_DISPATCH_ADMIN_KEYS: holds no key"]);
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
  // They open everything to their owners, and leave the rest to the rule for no keys.
  expect(faultsOf({ args, env: { HAL0_DISPATCH_ADMIN_KEYS: "k" } })).toHaveLength(1);
  expect(configOf({ args, env: { HAL0_DISPATCH_API_KEYS: "k" } }).server.allowAnonymous).toBe(false);
  expect(configOf({ args: { ...args, allowAnonymous: true } }).server.allowAnonymous).toBe(true);
  expect(configOf({ args, toml: "[server]\nallow_anonymous = true" }).server.host).toBe("192.168.1.5");
});

test("what --check prints is the configuration without its secrets", () => {
  const toml = `
    [server]
    api_keys = ["${SECRET}", "${SECRET}2"]
    admin_keys = ["${SECRET}"]
    [lemonades.big]
    url = "http://big:13305"
    api_key_env = "K"
    max_requests = 8
    [slots.primary]
    model = "Qwen3"
    load = { ctx_size = 4096, llamacpp_args = "--no-mmap --api-key '${SECRET} x' --hf-token=${SECRET}", auth_token = "${SECRET}" }
    [slots."b.2"]
    model = "Gemma"
    lemonade = "big"
    fallback = ["primary", { upstream = "router", model = "openai/gpt" }]
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
    "admin_keys = (1 key)",
    "max_body_mb = 64",
    "max_reply_mb = 64",
    "first_byte_timeout_s = 3600",
    "heartbeat_s = 5",
    "passthrough = true",
    'log_level = "info"',
    'log_format = "auto"',
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
    "# max_requests: 16, or 4 where lemond is older than 11",
    "auto_slots = true",
    "internal = false",
    "",
    "[lemonades.big]",
    'url = "http://big:13305"',
    "api_key = (set)",
    "load_timeout_s = 600",
    "poll_s = 1",
    "touch_s = 20",
    "max_requests = 8",
    "",
    "[slots.primary]",
    'model = "Qwen3"',
    "aliases = []",
    "default = false",
    'gate = "reject"',
    "hold_s = 180",
    "idle_after_s = 300",
    'via = "auto"',
    "keep = false",
    "continue = true",
    "fallback = []",
    "fallback_after_s = 0",
    'load = {"ctx_size":4096,"llamacpp_args":"--no-mmap --api-key (set) --hf-token=(set)","auth_token":"(set)"}',
    "",
    '[slots."b.2"]',
    'model = "Gemma"',
    "aliases = []",
    "default = false",
    'gate = "reject"',
    "hold_s = 180",
    "idle_after_s = 300",
    'via = "auto"',
    "keep = false",
    "continue = true",
    'fallback = ["primary", { upstream = "router", model = "openai/gpt" }]',
    "fallback_after_s = 0",
    'lemonade = "big"',
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
    const seen = loadConfig({ args: { config: path }, env: {}, ownHosts: () => [], ...systemFiles });
    expect(seen.ok && [seen.source, seen.config.server.port, seen.config.server.apiKeys]).toEqual([path, 7, ["k1"]]);
    const asFolder = loadConfig({ args: { config: folder }, env: {}, ownHosts: () => [], ...systemFiles });
    expect(asFolder).toEqual({ ok: false, source: null, faults: [`--config: ${folder} is a folder, not a file`] });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
