// Who may ask: keys, host names and origins as tables, then the doors of the real server.
import { describe, expect, test } from "bun:test";
import { admit, corsHeaders, hasKey, type Admission } from "../../src/http/admission.ts";
import { rawRequest } from "../lemond/raw-client.ts";
import { startStack } from "../stack.ts";

const noKeys: Admission = { host: "127.0.0.1", apiKeys: [], allowedHosts: ["box.lan", "nas:8080"], corsOrigins: [] };
const keyed: Admission = { ...noKeys, apiKeys: ["first-key", "second-key"] };

const refusal = (headers: Record<string, string>, rules: Admission, isOpen = false) =>
  admit(new Headers(headers), rules, isOpen)?.code ?? null;

describe("with keys", () => {
  const table: [string, Record<string, string>, boolean][] = [
    ["a bearer", { authorization: "Bearer first-key" }, true],
    ["the second key", { authorization: "Bearer second-key" }, true],
    ["a scheme in other letters", { authorization: "bEARER   first-key" }, true],
    ["Anthropic's header", { "x-api-key": "second-key" }, true],
    ["white space around it", { "x-api-key": "  first-key " }, true],
    ["another scheme beside Anthropic's header", { authorization: "Basic eA==", "x-api-key": "first-key" }, true],
    ["no key", {}, false],
    ["an empty key", { authorization: "Bearer " }, false],
    ["an empty x-api-key", { "x-api-key": "" }, false],
    ["a beginning of a key", { authorization: "Bearer first-ke" }, false],
    ["more than a key", { authorization: "Bearer first-key2" }, false],
    ["a key in other letters", { authorization: "Bearer FIRST-KEY" }, false],
    ["a key without its scheme", { authorization: "first-key" }, false],
    ["another scheme", { authorization: "Basic first-key" }, false],
    ["both keys in one", { authorization: "Bearer first-key, second-key" }, false],
    ["a wrong bearer beside a right x-api-key", { authorization: "Bearer wrong", "x-api-key": "first-key" }, false],
  ];
  test.each(table)("%s", (_, headers, isAdmitted) => {
    expect(refusal(headers, keyed)).toBe(isAdmitted ? null : "auth.invalid_key");
    expect(hasKey(new Headers(headers), keyed.apiKeys)).toBe(isAdmitted);
    // What needs no key asks for none.
    expect(refusal(headers, keyed, true)).toBeNull();
  });

  test("any host and any origin may ask", () => {
    const headers = { authorization: "Bearer first-key", host: "evil.example", origin: "https://evil.example" };
    expect(refusal(headers, keyed)).toBeNull();
  });
});

describe("without keys a host name", () => {
  const table: [string, boolean][] = [
    ["127.0.0.1:8080", true],
    ["127.1.2.3", true],
    ["localhost:8080", true],
    ["LocalHost", true],
    ["chat.localhost", true],
    ["[::1]:8080", true],
    ["box.lan", true],
    ["box.lan:9999", true],
    ["BOX.lan", true],
    ["nas:8080", true],
    ["evil.example", false],
    ["localhost.evil.example", false],
    ["127.0.0.1.evil.example", false],
    ["evil.example:127", false],
    ["192.168.1.7", false],
    ["[::2]", false],
    ["sub.box.lan", false],
    ["", false],
  ];
  test.each(table)("%p", (host, isAdmitted) => {
    for (const isOpen of [true, false])
      expect(refusal({ host }, noKeys, isOpen)).toBe(isAdmitted ? null : "request.invalid");
  });

  test("that is the address this server is bound to is its own", () => {
    expect(refusal({ host: "192.168.1.7:8080" }, { ...noKeys, host: "192.168.1.7" })).toBeNull();
    expect(refusal({ host: "[fd00::7]:8080" }, { ...noKeys, host: "fd00::7" })).toBeNull();
  });
});

describe("without keys a page", () => {
  const host = "127.0.0.1:8080";
  const table: [string, readonly string[], boolean][] = [
    ["http://127.0.0.1:8080", [], true],
    ["http://127.0.0.1:9999", [], false],
    ["http://localhost:8080", [], false],
    ["https://evil.example", [], false],
    ["null", [], false],
    ["https://chat.lan", ["https://chat.lan"], true],
    ["https://CHAT.lan", ["https://chat.lan"], true],
    ["http://chat.lan", ["https://chat.lan"], false],
    ["https://evil.example", ["*"], true],
  ];
  test.each(table)("of %s where %j is listed", (origin, corsOrigins, isAdmitted) => {
    expect(refusal({ host, origin }, { ...noKeys, corsOrigins })).toBe(isAdmitted ? null : "request.invalid");
  });

  test("of a listed origin may read the answer, another may not", () => {
    expect(corsHeaders("https://chat.lan", ["https://chat.lan"])).toEqual({
      "access-control-allow-origin": "https://chat.lan",
      "access-control-expose-headers": "x-request-id, x-hal0-upstream, x-hal0-repair, retry-after",
      vary: "origin",
    });
    expect(corsHeaders("https://evil.example", ["https://chat.lan"])).toEqual({});
    expect(corsHeaders(null, ["*"])).toEqual({});
  });
});

describe("the doors of a server with keys", () => {
  const lock = { server: { apiKeys: ["first-key"] } };
  const closed = [
    ["GET", "/v1/models"],
    ["GET", "/v1/models/tiny-a"],
    ["GET", "/metrics"],
    ["GET", "/api/slots"],
    ["GET", "/api/slots/primary"],
    ["POST", "/v1/chat/completions"],
    ["POST", "/api/v1/embeddings"],
    ["POST", "/v1/messages"],
    ["POST", "/api/slots/primary/load"],
    ["POST", "/api/slots/primary/unload"],
    ["POST", "/api/slots/primary/swap"],
    ["PUT", "/v1/models"],
    ["GET", "/nothing/here"],
  ] as const;

  test("are closed but for /live and /health, and nothing behind them happens", async () => {
    await using stack = await startStack(lock);
    for (const [method, path] of closed)
      for (const headers of [{}, { authorization: "Bearer wrong" }, { "x-api-key": "wrong" }]) {
        const init = { method, headers, ...(method === "POST" ? { body: '{"messages":[],"model":"tiny-a"}' } : {}) };
        const response = await fetch(stack.url + path, init);
        expect([path, response.status]).toEqual([path, 401]);
        expect(response.headers.get("www-authenticate")).toBe("Bearer");
        expect(response.headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
        const type = path === "/v1/messages" ? "authentication_error" : "invalid_request_error";
        expect(await response.json()).toMatchObject({ error: { code: "auth.invalid_key", type, param: null } });
      }
    expect(stack.lemond.child("tiny-a")?.prompts()).toBe(0);
    expect([stack.lemond.loads("tiny-a"), stack.lemond.unloads()]).toEqual([1, 0]);
    expect(JSON.stringify(stack.lines)).not.toContain("wrong");
  });

  test("open for a key of either kind, which goes no further and stands in no log", async () => {
    await using stack = await startStack(lock);
    for (const headers of [{ authorization: "Bearer first-key" }, { "x-api-key": "first-key" }]) {
      expect((await stack.chat({ headers })).status).toBe(200);
      expect((await fetch(`${stack.url}/v1/models`, { headers })).status).toBe(200);
    }
    expect(JSON.stringify(stack.lemond.child("tiny-a")?.requests)).not.toContain("first-key");
    expect(JSON.stringify([stack.lines, stack.lemond.calls])).not.toContain("first-key");
  });

  test("tell a caller without a key the status alone", async () => {
    await using stack = await startStack(lock);
    expect(await (await fetch(`${stack.url}/live`)).json()).toEqual({ status: "ok" });
    expect(await (await fetch(`${stack.url}/health`)).json()).toEqual({ status: "ok" });
    const told = await fetch(`${stack.url}/health`, { headers: { "x-api-key": "first-key" } });
    expect(await told.json()).toMatchObject({ status: "ok", slots: [{ name: "primary" }] });
  });
});

describe("the doors of a server without keys", () => {
  const get = (url: string, path: string, headers: readonly string[]) =>
    rawRequest(Number(new URL(url).port), ["GET " + path + " HTTP/1.1", ...headers, "", ""].join("\r\n"));

  test("are closed to a name that was rebound, and to foreign pages", async () => {
    await using stack = await startStack({ server: { allowedHosts: ["ai"] } });
    const rebound = await get(stack.url, "/v1/models", ["Host: evil.example"]);
    expect(rebound.status).toBe(400);
    expect(JSON.parse(rebound.body)).toMatchObject({
      error: { code: "request.invalid", details: { path: "headers.host" } },
    });
    const page = await get(stack.url, "/v1/models", ["Host: ai", "Origin: https://evil.example"]);
    expect(page.status).toBe(400);
    expect(page.headers.join()).not.toMatch(/access-control/i);
    expect(JSON.parse(page.body)).toMatchObject({ error: { details: { path: "headers.origin" } } });
    expect((await get(stack.url, "/v1/models", ["Host: ai"])).status).toBe(200);
  });

  test("let a listed page ask first, then ask, and read streams", async () => {
    const origin = "https://chat.lan";
    await using stack = await startStack({ server: { corsOrigins: [origin] } });
    const ask = await fetch(`${stack.url}/v1/chat/completions`, {
      method: "OPTIONS",
      headers: {
        origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization, content-type",
      },
    });
    expect(ask.status).toBe(204);
    expect(ask.headers.get("access-control-allow-origin")).toBe(origin);
    expect(ask.headers.get("access-control-allow-methods")).toContain("POST");
    expect(ask.headers.get("access-control-allow-headers")).toContain("authorization");
    expect(ask.headers.get("access-control-allow-headers")).toContain("content-type");
    for (const stream of [false, true]) {
      const response = await stack.chat({ stream, headers: { origin } });
      expect([response.status, response.headers.get("access-control-allow-origin")]).toEqual([200, origin]);
      expect(response.headers.get("vary")).toBe("origin");
      await response.text();
    }
    const refused = await fetch(`${stack.url}/v1/models/nothing`, { headers: { origin } });
    expect([refused.status, refused.headers.get("access-control-allow-origin")]).toEqual([404, origin]);
    // The child answers to an Origin of its own: none may reach it.
    expect(JSON.stringify(stack.lemond.child("tiny-a")?.requests)).not.toContain("chat.lan");
  });
});
