// How each fault in a configuration is said: where and what.
import { expect, test } from "bun:test";
import { faultsOf } from "../configured.ts";

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
    '[slots.a]\nmodel = "user.Q"\n[slots.c]\nmodel = "Q"\n[slots.b]\nmodel = "user.Q"',
    "slots.b.model: the model is that of slots.a.model, and a model can have one slot only",
  ],
  [
    "two slots with one model at one further lemond, and not at another",
    '[lemonades.x]\nurl = "http://x"\n[slots.a]\nmodel = "Q"\n[slots.b]\nmodel = "Q"\nlemonade = "x"\n[slots.c]\nmodel = "Q"\nlemonade = "x"',
    "slots.c.model: the model is that of slots.b.model, and a model can have one slot only",
  ],
  [
    "a slot at a lemond that there is not",
    '[slots.a]\nmodel = "x"\nlemonade = "big"',
    "slots.a.lemonade: there is no [lemonades.big]",
  ],
  [
    "two lemonds at one address",
    '[lemonades.a]\nurl = "http://LOCALHOST:13305"\n[lemonades.b]\nurl = "http://b"\n[lemonades.c]\nurl = "http://B:80/"\n[lemonades.d]\nurl = "http://b:81"',
    "lemonades.a.url: this is the lemond of lemonade.url",
    "lemonades.c.url: this is the lemond of lemonades.b.url",
  ],
  [
    "a further lemond without an address, with what only the first can have",
    "[lemonades.a]\nauto_slots = true\ninternal = true",
    "lemonades.a.url: is missing",
    "lemonades.a.auto_slots: expected false: only [lemonade] can have it",
    "lemonades.a.internal: expected false: only [lemonade] can have it",
  ],
  [
    "a further lemond with the first one's name",
    '[lemonades.lemonade]\nurl = "http://a"',
    'lemonades.lemonade: "lemonade" is the name of the one in [lemonade]',
  ],
  [
    "a further lemond's key that is not set",
    '[lemonades.a]\nurl = "http://a"\napi_key_env = "LEMONADE_API_KEY"',
    "lemonades.a.api_key_env: LEMONADE_API_KEY is not set in the environment",
  ],
  [
    "lemond's internal routes without an admin key",
    '[server]\napi_keys = ["k"]\n[lemonade]\ninternal = true',
    "lemonade.internal: needs an admin key: set server.admin_keys or HAL0_DISPATCH_ADMIN_KEYS, or leave it false",
  ],
  [
    "no requests at lemond at all",
    "[lemonade]\nmax_requests = 0",
    "lemonade.max_requests: expected a whole number from 1 to 1000000, got 0",
  ],
  [
    "a slot whose place is taken",
    '[slots.events]\nmodel = "x"',
    'slots.events: a slot cannot be called "events", /api/slots/events is the feed',
  ],
  [
    "a way that is none",
    '[slots.a]\nmodel = "x"\nvia = "direct"',
    'slots.a.via: expected one of "auto", "child", "lemond", got "direct"',
  ],
  [
    "a fallback that is no list",
    '[slots.a]\nmodel = "x"\nfallback = "b"',
    'slots.a.fallback: expected a list, got "b"',
  ],
  [
    "fallbacks that are misspelt",
    '[slots.a]\nmodel = "x"\nfallback = [1, {}, { upstrem = "r" }, { upstream = "r", model = "" }]\n[upstreams.r]\nurl = "http://r"\nmodels = ["m"]',
    "slots.a.fallback[0]: expected a name of 1 to 64 letters, digits, '.', '_' or '-', got 1",
    "slots.a.fallback[1].upstream: is missing",
    'slots.a.fallback[2].upstrem: unknown key, did you mean "upstream"?',
    "slots.a.fallback[2].upstream: is missing",
    'slots.a.fallback[3].model: expected a name without spaces around it, got ""',
  ],
  [
    "fallbacks that cannot be",
    '[slots.a]\nmodel = "x"\naliases = ["alias"]\nfallback = ["a", "none", "alias", "r", { upstream = "b", model = "y" }]\n[slots.b]\nmodel = "y"\n[upstreams.r]\nurl = "http://r"\nmodels = ["m", "m/*"]',
    "slots.a.fallback[0]: a slot cannot be its own fallback",
    'slots.a.fallback[1]: no slot and no upstream is called "none"',
    'slots.a.fallback[2]: no slot and no upstream is called "alias"',
    'slots.a.fallback[3]: "r" has patterns, so say which model: { upstream = "r", model = "…" }',
    'slots.a.fallback[4]: "b" is a slot, which has a model of its own: leave model out',
  ],
  [
    "names of what is faulty itself, only there",
    '[lemonades.l]\n[slots.a]\nmodel = "x"\nlemonade = "l"\nfallback = ["b", "r"]\n[slots.b]\n[upstreams.r]\nmodels = ["m"]',
    "lemonades.l.url: is missing",
    "slots.b.model: is missing",
    "upstreams.r.url: is missing",
  ],
  [
    "upstreams at our own address",
    '[lemonade]\nurl = "http://localhost:8080"\n[upstreams.a]\nurl = "http://[::1]:8080/v1"\nmodels = ["x"]\n[upstreams.b]\nurl = "http://127.0.0.1:8081/v1"\nmodels = ["y"]',
    "lemonade.url: this is the address of this server itself (port 8080)",
    "upstreams.a.url: this is the address of this server itself (port 8080)",
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

test("lemond's address that is our own is said where it was given", () => {
  const fault = "this is the address of this server itself (port 13305)";
  expect(faultsOf({ args: { port: "13305" } })).toEqual([`lemonade.url: ${fault}`]);
  expect(faultsOf({ args: { port: "13305", lemonade: "http://localhost:13305" } })).toEqual([`--lemonade: ${fault}`]);
  // Any free port: which one is not known yet.
  expect(faultsOf({ args: { port: "0", lemonade: "http://localhost:8080" } })).toEqual([]);
});
