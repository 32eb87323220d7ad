// The routes that the server answers itself, and what it says to another method or path.
import { describe, expect, test } from "bun:test";
import { errorOf } from "../envelope.ts";
import { openRaw, parseReply, requestText } from "../lemond/raw-client.ts";
import { stackConfig, startStack } from "../stack.ts";

const PREFIXES = ["/v1", "/api/v1", "/v0", "/api/v0"];
const slots = [{ name: "primary", model: "tiny-a", aliases: ["gpt-4o"], isDefault: true }];

describe("the server's own state", () => {
  test("is told by /live and /health", async () => {
    await using stack = await startStack();
    const live = await fetch(`${stack.url}/live`);
    expect([live.status, await live.json()]).toEqual([200, { status: "ok" }]);
    const health = await fetch(`${stack.url}/health`);
    expect(health.status).toBe(200);
    expect(await health.json()).toMatchObject({
      status: "ok",
      lemonade: { up: true },
      slots: [{ name: "primary", model: "tiny-a", state: "ready" }],
    });
  });

  test("has no secrets in it", async () => {
    await using stack = await startStack({
      lemonade: { apiKey: "canary-lemon" },
      lemond: { apiKey: "canary-lemon" },
      upstreams: [{ name: "far", url: "http://127.0.0.1:9", apiKey: "canary-far", models: ["far/*"] }],
    });
    for (const path of ["/health", "/api/slots", "/metrics", "/v1/models"]) {
      const response = await fetch(stack.url + path);
      expect([path, response.status]).toEqual([path, 200]);
      expect(await response.text()).not.toContain("canary");
    }
  });
});

describe("a slot's snapshot", () => {
  const fields = [
    "name",
    "state",
    "model",
    "url",
    "pid",
    "generation",
    "in_flight",
    "waiting",
    "since",
    "last_used_at",
    "last_error",
    "last_load_s",
    "repairs",
    "aliases",
    "default",
  ];
  const iso = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

  test("has these fields and no others", async () => {
    await using stack = await startStack({ slots });
    const child = stack.lemond.child("tiny-a");
    const snapshot = await stack.slot();
    expect(Object.keys(snapshot)).toEqual(fields);
    expect(snapshot).toEqual({
      name: "primary",
      state: "ready",
      model: "tiny-a",
      url: child?.url ?? "no child",
      pid: child?.pid ?? -1,
      generation: 1,
      in_flight: 0,
      waiting: 0,
      since: expect.stringMatching(iso),
      last_used_at: null,
      last_error: null,
      last_load_s: null,
      repairs: { recovered: 0, retargeted: 0, alive: 0, failed: 0 },
      aliases: ["gpt-4o"],
      default: true,
    });
    await (await stack.chat()).text();
    const used = await stack.slotIs((slot) => slot.in_flight === 0);
    expect(used.last_used_at).toMatch(iso);
    expect(await (await fetch(`${stack.url}/api/slots`)).json()).toEqual([used]);
  });

  test("of a slot without a child has neither address nor pid", async () => {
    await using stack = await startStack({ slots, loaded: [] });
    expect(await stack.slot()).toMatchObject({ state: "offline", url: null, pid: null, generation: 0 });
    expect(stack.lemond.loads()).toBe(0);
  });

  test("of an implicit slot is there by its model's name", async () => {
    await using stack = await startStack({ slots, loaded: ["tiny-b"] });
    const snapshot = await stack.slotIs((slot) => slot.state === "ready", "tiny-b");
    expect(snapshot).toMatchObject({ name: "tiny-b", model: "tiny-b", default: false, aliases: [] });
  });

  test.each(["nothing", "PRIMARY", "__proto__", "%ff", "primary%2F"])("is not there for %s", async (name) => {
    await using stack = await startStack();
    for (const init of [{}, { method: "POST", path: "/load" }, { method: "POST", path: "/unload" }]) {
      const { path = "", ...rest } = { path: "", ...init };
      const response = await fetch(`${stack.url}/api/slots/${name}${path}`, rest);
      expect(response.status).toBe(404);
      expect((await errorOf(response)).code).toBe("slot.not_found");
    }
    expect([stack.lemond.loads(), stack.lemond.unloads(), stack.lemond.unloadAlls()]).toEqual([1, 0, 0]);
  });
});

describe("a path, without lemond's own", () => {
  const server = { passthrough: false };
  const paths: [string, string][] = [
    ["/v1/chat/completions", "POST, OPTIONS"],
    ["/api/v1/embeddings", "POST, OPTIONS"],
    ["/v1/messages/count_tokens", "POST, OPTIONS"],
    ["/v1/models", "GET, HEAD, OPTIONS"],
    ["/api/v1/models/a/b", "GET, HEAD, OPTIONS"],
    ["/live", "GET, HEAD, OPTIONS"],
    ["/health", "GET, HEAD, OPTIONS"],
    ["/metrics", "GET, HEAD, OPTIONS"],
    ["/api/slots", "GET, HEAD, OPTIONS"],
    ["/api/slots/primary", "GET, HEAD, OPTIONS"],
    ["/api/slots/primary/swap", "POST, OPTIONS"],
  ];

  test("names its methods to OPTIONS, refuses others, and answers HEAD where it answers GET", async () => {
    await using stack = await startStack({ server });
    for (const [path, allow] of paths) {
      const options = await fetch(stack.url + path, { method: "OPTIONS" });
      expect([path, options.status, options.headers.get("allow")]).toEqual([path, 204, allow]);
      expect(await options.text()).toBe("");
      const others = ["GET", "POST", "PUT", "PATCH", "DELETE"].filter((method) => !allow.includes(method));
      for (const method of others) {
        const response = await fetch(stack.url + path, { method });
        expect([method, path, response.status, response.headers.get("allow")]).toEqual([method, path, 405, allow]);
        const error = await errorOf(response);
        expect(error).toMatchObject({ code: "request.method_not_allowed", details: { method } });
        expect(error.message).toBe(`${method} is not allowed at this path, which takes ${allow}.`);
      }
      const head = await fetch(stack.url + path, { method: "HEAD" });
      const isGet = allow.includes("GET");
      const expected = path.endsWith("/a/b") ? 404 : isGet ? 200 : 405;
      expect([path, head.status, await head.text()]).toEqual([path, expected, ""]);
    }
    expect(stack.lemond.child("tiny-a")?.prompts()).toBe(0);
    expect([stack.lemond.loads(), stack.lemond.unloads(), stack.lemond.unloadAlls()]).toEqual([1, 0, 0]);
  });

  test.each(["/v1", "/v1/", "/v2/models", "/v1/images/generations", "/api", "/api/v1", "/v1/chat/completions/x"])(
    "%s does not exist, for any method",
    async (path) => {
      await using stack = await startStack({ server });
      for (const method of ["GET", "POST", "OPTIONS", "DELETE"]) {
        const response = await fetch(stack.url + path, { method });
        expect(response.status).toBe(404);
        const error = await errorOf(response);
        expect(error).toMatchObject({ code: "request.not_found", details: { path } });
      }
    },
  );
});

test.each(["chat/completions", "completions", "responses", "messages", "messages/count_tokens"])(
  "%s is served under each prefix, by the child's route of that name",
  async (route) => {
    await using stack = await startStack();
    const body = { model: "primary", messages: [], prompt: "x", input: "x", max_tokens: 1, max_output_tokens: 1 };
    for (const prefix of PREFIXES) expect((await stack.post(`${prefix}/${route}`, body)).status).toBe(200);
    const paths = stack.lemond.child("tiny-a")?.requests.flatMap(({ method, path }) => (method === "POST" ? path : []));
    expect(paths).toEqual(Array(4).fill(`/v1/${route}`));
  },
);

test.each([
  ["embeddings", "tiny-emb"],
  ["rerank", "tiny-rr"],
  ["reranking", "tiny-rr"],
])("%s is served by an implicit slot", async (route, model) => {
  await using stack = await startStack({ loaded: [model] });
  const response = await stack.post(`/api/v1/${route}`, { model, input: "x", query: "x", documents: ["a", "b"] });
  expect([response.status, response.headers.get("x-hal0-upstream")]).toEqual([200, model]);
});

test("a request whose model only lemond could know hears why lemond does not tell", async () => {
  await using stack = await startStack({
    loaded: [],
    lemond: { apiKey: "lemon-key" },
    lemonade: { apiKey: "wrong-key" },
  });
  const response = await stack.chat({ model: "tiny-b" });
  const { status, headers } = response;
  expect([status, headers.get("retry-after")]).toEqual([502, "5"]);
  const { message, code, details } = await errorOf(response);
  expect(code).toBe("dispatch.upstream_unavailable");
  expect(details).toMatchObject({ upstream: "lemonade", target: stack.lemond.url });
  expect(details["cause"]).toMatch(/^the model list answered 401: /);
  expect(message).toContain("answered 401");
  expect(stack.logged("dispatch.forward_failed")).toMatchObject([
    { level: "error", request_id: headers.get("x-request-id"), upstream: "lemonade", cause: details["cause"] },
  ]);
  expect(JSON.stringify([message, details, stack.lines])).not.toContain("wrong-key");
});

test("a swap whose body is still coming in when a reload takes its slot away does nothing", async () => {
  await using stack = await startStack({ slots: [{ name: "primary", model: "tiny-a" }] });
  const connection = await openRaw(Number(new URL(stack.url).port));
  connection.send(requestText("POST", "/api/slots/primary/swap", ["Content-Length: 18"], ""));
  // Its head has been read when the server has answered a later request.
  await stack.slot();
  stack.server.reload(stackConfig(stack.lemond.url, { slots: [{ name: "other", model: "tiny-a" }] }));
  connection.send('{"model":"tiny-b"}');
  const reply = parseReply(await connection.until("\r\n\r\n"));
  connection.close();
  expect(reply.status).toBe(404);
  expect([stack.lemond.unloads(), stack.lemond.loads("tiny-b")]).toEqual([0, 0]);
});
