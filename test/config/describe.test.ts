// What --check prints of a configuration.
import { expect, test } from "bun:test";
import { describeConfig } from "../../src/config/describe.ts";
import { configOf, SECRET } from "../configured.ts";

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
