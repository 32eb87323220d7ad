// Where a configuration comes from: flags, environment, file; its order, its keys, and what an open address wants.
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../../src/config/config.ts";
import { systemFiles } from "../../src/config/files.ts";
import { configOf, FILE, faultsOf, load, type Given } from "../configured.ts";

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
