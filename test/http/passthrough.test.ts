// What is lemond's own goes to lemond and back as it is: every route of its table, its streams, and who may not get there.
import { describe, expect, test } from "bun:test";
import { errorOf } from "../envelope.ts";
import { rawRequest, requestText } from "../lemond/raw-client.ts";
import { routes } from "../lemond/routes.ts";
import { startStack } from "../stack.ts";

const filled = (path: string): string => path.replaceAll(/\{\w+\}/g, "x.y");
const ORDERS = ["/v1/load", "/v1/unload", "/v1/delete", "/api/delete"];
const KEYS = {
  authorization: "Bearer canary-key",
  "x-api-key": "canary-key",
  cookie: "c=canary",
  origin: "https://a.lan",
};

describe("each route of lemond's", () => {
  test("that is read or controlled arrives as it was sent, under lemond's key, and its answer comes back as it is", async () => {
    await using stack = await startStack({
      lemond: { apiKey: "lemon-key" },
      lemonade: { apiKey: "lemon-key", pollMs: 60_000 },
      server: { apiKeys: ["canary-key"] },
    });
    for (const { kind, method, path } of routes) {
      if ((kind !== "read" && kind !== "control") || ORDERS.includes(path)) continue;
      const given = `${filled(path)}?b=%2F+1&api_key=canary-key&%61pi_key=canary-key&c`;
      const before = stack.lemond.calls.length;
      const body = method === "GET" ? null : '{"some":  "body",\n"n":1e2}';
      const response = await fetch(stack.url + given, { method, body, headers: { ...KEYS, "x-own": "kept" } });
      const [call, ...more] = stack.lemond.calls.slice(before);
      expect([path, more.length]).toEqual([path, 0]);
      expect({ path: call?.path, method: call?.method, status: call?.status }).toEqual({
        path: `${filled(path)}?b=%2F+1&c`,
        method,
        status: response.status,
      });
      expect(call?.headers).toMatchObject({ authorization: "Bearer lemon-key", "x-own": "kept", connection: "close" });
      expect(call?.headers["x-hal0-via"]).toMatch(/^[0-9a-f-]{36}$/);
      expect(JSON.stringify(call?.headers)).not.toMatch(/canary|a\.lan/);
      if (body !== null) expect([path, call?.bodyBytes]).toEqual([path, body.length]);
      expect(response.headers.get("x-request-id")).not.toBeNull();
      expect(response.headers.get("access-control-allow-methods")).toBeNull();
      await response.text();
    }
    expect(JSON.stringify(stack.lines)).not.toContain("canary");
  });

  test("that is another's is not there, and lemond hears nothing of it", async () => {
    await using stack = await startStack({ lemonade: { pollMs: 60_000 } });
    const before = stack.lemond.calls.length;
    for (const { kind, method, path } of routes) {
      if (kind !== "never" && kind !== "page") continue;
      if (path === "/") continue; // Our own page.
      const response = await fetch(stack.url + filled(path), { method, body: method === "GET" ? null : "{}" });
      expect([path, response.status]).toEqual([path, 404]);
      expect((await errorOf(response)).code).toBe("request.not_found");
    }
    expect(stack.lemond.calls.length).toBe(before);
  });

  test("is not there for anybody where the passing through is switched off, but for what goes to children", async () => {
    await using stack = await startStack({ server: { passthrough: false }, lemonade: { pollMs: 60_000 } });
    const before = stack.lemond.calls.length;
    for (const { kind, method, path } of routes) {
      if (kind === "own" || kind === "page" || kind === "direct") continue;
      const response = await fetch(stack.url + filled(path), { method, body: method === "GET" ? null : "{}" });
      const isModel = path.startsWith("/v1/models/");
      expect([path, response.status]).toEqual([path, isModel && method !== "GET" ? 405 : 404]);
    }
    expect(stack.lemond.calls.length).toBe(before);
    expect((await stack.chat()).status).toBe(200);
  });

  test("is asked by HEAD, and tells its methods to OPTIONS and to those that it has not", async () => {
    await using stack = await startStack();
    const head = await fetch(`${stack.url}/v1/stats`, { method: "HEAD" });
    expect([head.status, await head.text()]).toEqual([200, ""]);
    const all = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
    for (const [path, allow] of [
      ["/v1/pull", all],
      ["/v1/models/x/options", all],
      ["/api/tags", "GET, HEAD, OPTIONS"],
      ["/api/delete", "DELETE, OPTIONS"],
      ["/v1/audio/speech", "POST, OPTIONS"],
      ["/api/chat", "POST, OPTIONS"],
    ] as const) {
      const options = await fetch(stack.url + path, { method: "OPTIONS" });
      expect([path, options.status, options.headers.get("allow")]).toEqual([path, 204, allow]);
      const trace = await rawRequest(Number(new URL(stack.url).port), requestText("TRACE", path, [], ""));
      expect([path, trace.status]).toEqual([path, 405]);
    }
    const refused = await fetch(`${stack.url}/api/tags`, { method: "POST" });
    expect([refused.status, await refused.json()]).toEqual([
      405,
      { error: "POST is not allowed at this path, which takes GET, HEAD, OPTIONS." },
    ]);
  });

  test("that does not exist is refused in lemond's own words", async () => {
    await using stack = await startStack();
    const response = await fetch(`${stack.url}/v1/nothing?x=1`, { method: "POST", body: "{}" });
    expect([response.status, await response.json()]).toEqual([
      404,
      { error: { message: "The requested endpoint does not exist", path: "/v1/nothing", type: "not_found" } },
    ]);
  });
});

describe("no bent path", () => {
  const bent = [
    "//internal/set",
    "/v1//internal/set",
    "/v1/../internal/set",
    "/v1/./../internal/config",
    "/v1/%2e%2e/internal/set",
    "/v1/%2e%2e%2finternal/set",
    "/v1/..%2finternal%2fset",
    "/v1/..%5cinternal%5cset",
    "/v1\\..\\internal\\set",
    "/%69nternal/set",
    "/%49nternal/set",
    "/INTERNAL/set",
    "/internal;x/set",
    "/v1/internal/set",
    "/v1/%70arams",
    "/v1/params;x",
    "/v1/PARAMS",
    "/v1/params",
    "/v1/params/",
    "/v1/x/%2e%2e/params",
    "/internal/set",
    "/internal/config",
    "http://127.0.0.1/internal/set",
  ];

  test.each([
    ["without keys", {}, []],
    ["with a key", { apiKeys: ["user-key"] }, ["Authorization: Bearer user-key"]],
  ])("leads to lemond's insides, %s", async (_, server, headers) => {
    await using stack = await startStack({ server, lemonade: { pollMs: 60_000 } });
    const port = Number(new URL(stack.url).port);
    const before = stack.lemond.calls.length;
    for (const path of bent)
      for (const method of ["GET", "POST", "DELETE"]) {
        const reply = await rawRequest(
          port,
          requestText(method, path, headers, method === "GET" ? "" : '{"host":"x"}'),
        );
        expect([method, path, reply.status]).toEqual([method, path, 404]);
      }
    expect(stack.lemond.calls.length).toBe(before);
  });

  test("but the straight one does where the configuration says so, for an admin key alone", async () => {
    await using stack = await startStack({
      server: { apiKeys: ["user-key"], adminKeys: ["admin-key"] },
      lemonade: { internal: true, pollMs: 60_000 },
    });
    const ask = async (key: string | null, path: string): Promise<number> =>
      (await fetch(stack.url + path, key === null ? {} : { headers: { "x-api-key": key } })).status;
    for (const path of ["/internal/config", "/v1/params"])
      expect([await ask("admin-key", path), await ask("user-key", path), await ask(null, path)]).toEqual([
        200, 403, 401,
      ]);
    expect(stack.lemond.calls.filter(({ path }) => /internal|params/.test(path)).length).toBe(2);
    const port = Number(new URL(stack.url).port);
    for (const path of ["/%69nternal/config", "/v1/internal/config", "//internal/config"])
      expect((await rawRequest(port, requestText("GET", path, ["X-Api-Key: admin-key"], ""))).status).toBe(404);
  });
});

describe("who may not control", () => {
  test("may read, and lemond hears nothing of the rest", async () => {
    await using stack = await startStack({ lemonade: { pollMs: 60_000 } });
    const headers = { "x-forwarded-for": "192.168.1.9" };
    for (const { kind, method, path } of routes) {
      if (kind !== "control" && kind !== "read") continue;
      const before = stack.lemond.calls.length;
      const response = await fetch(stack.url + filled(path), { method, headers, body: method === "GET" ? null : "{}" });
      expect([path, response.status === 403]).toEqual([path, kind === "control"]);
      expect([path, stack.lemond.calls.length - before]).toEqual([path, kind === "control" ? 0 : 1]);
      const text = await response.text();
      if (kind === "control")
        expect(text).toContain(path.startsWith("/api/") ? '{"error":"Without' : "auth.control_refused");
    }
  });
});
