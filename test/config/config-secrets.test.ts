// Broken TOML, and every other fault, is said without what the file holds: no secret is repeated.
import { expect, test } from "bun:test";
import { FILE, faultsOf, SECRET, type Given } from "../configured.ts";

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
  ["admin keys that are no list", { toml: `[server]\nadmin_keys = "${SECRET}"` }],
  ["an admin key that no header carries", { env: { HAL0_DISPATCH_ADMIN_KEYS: `${SECRET}ü` } }],
  [
    "a key for the name of a further lemond's variable",
    { toml: `[lemonades.a]\nurl = "http://a"\napi_key_env = "${SECRET}"` },
  ],
  ["a key in a further lemond's URL", { toml: `[lemonades.a]\nurl = "http://a/?key=${SECRET}"` }],
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
