// The commented configuration that install puts there: complete, right, and without effect until somebody changes it.
import { expect, test } from "bun:test";
import { loadConfig, slotDefaults } from "../../src/config/config.ts";
import { describeConfig } from "../../src/config/describe.ts";
import { configText } from "../../src/host/layout.ts";

const load = (toml: string) =>
  loadConfig({
    args: { config: "/etc/hal0/dispatch.toml" },
    ownHosts: () => [],
    env: { OPENROUTER_API_KEY: "a-key", BIG_LEMONADE_KEY: "a-key" },
    readFile: (path) => (path.endsWith(".toml") ? toml : "a-key\n"),
    listFolder: () => [],
  });
/** Every setting in force, as its comments say it can be. */
const allSet = configText()
  .replace(/^#(?=[\w[])/gm, "")
  .replaceAll(/^(api|admin)_keys = \[\]/gm, '$1_keys = ["a-key"]');

test("as it is, it is the defaults", () => {
  const [commented, empty] = [load(configText()), load("")];
  if (!commented.ok || !empty.ok) throw new Error("not valid");
  expect(commented.config).toEqual(empty.config);
});

test("names every key, and each with its default where it has one", () => {
  const [set, empty] = [load(allSet), load("")];
  if (!set.ok || !empty.ok) throw new Error(set.ok ? "not valid" : set.faults.join("\n"));
  expect(set.config.lemonade).toEqual({ ...empty.config.lemonade, maxRequests: 16 });
  expect(set.config.server).toEqual({ ...empty.config.server, apiKeys: ["a-key"], adminKeys: ["a-key"] });
  expect(set.config.slots).toEqual([
    {
      ...slotDefaults,
      name: "primary",
      model: "Qwen3-Coder-30B-A3B-Instruct-GGUF",
      aliases: ["gpt-4o"],
      isDefault: true,
      lemonade: "big",
      load: { ctx_size: 32768, llamacpp_backend: "vulkan", llamacpp_args: "--no-mmap" },
    },
  ]);
  expect([set.config.lemonades.length, set.config.upstreams.length]).toEqual([1, 1]);
  const keys = describeConfig(set.config).matchAll(/^(\w+) = /gm);
  for (const [, key = ""] of keys)
    expect(configText()).toMatch(new RegExp(`^#${key === "api_key" ? "api_key_env" : key} = `, "m"));
  for (const key of ["slots_dir", "api_keys_file", "admin_keys_file"])
    expect(configText()).toMatch(new RegExp(`^#${key} = `, "m"));
});

test("a key that it does not know would be noticed", () => {
  expect(load(allSet.replace("max_waiting", "max_wating")).ok).toBe(false);
});
