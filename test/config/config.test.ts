// What a configuration becomes: the defaults, and every key of the file. No sockets; files are a record.
import { expect, test } from "bun:test";
import { slotDefaults } from "../../src/config/config.ts";
import { configOf, load } from "../configured.ts";

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
