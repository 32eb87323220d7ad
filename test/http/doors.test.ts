// Who may ask and who may control, at the doors of the real server, with keys and without.
import { describe, expect, test } from "bun:test";
import { NO_LEMOND } from "../no-lemond.ts";
import { createAccepted } from "../../src/http/accepted.ts";
import { createApp } from "../../src/http/app.ts";
import { createLog } from "../../src/observe/log.ts";
import { errorOf } from "../envelope.ts";
import { rawRequest } from "../lemond/raw-client.ts";
import { stackConfig, startStack } from "../stack.ts";

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

describe("an operator's actions", () => {
  const url = (stack: { url: string }) => `${stack.url}/api/slots/primary/unload`;

  test("are for an admin key where there is one; the others chat", async () => {
    await using stack = await startStack({ server: { apiKeys: ["user-key"], adminKeys: ["admin-key"] } });
    const user = { authorization: "Bearer user-key" };
    const refused = await fetch(url(stack), { method: "POST", headers: user });
    expect(refused.status).toBe(403);
    expect(await errorOf(refused)).toMatchObject({ code: "auth.control_refused", type: "invalid_request_error" });
    expect((await fetch(url(stack), { method: "POST" })).status).toBe(401);
    expect(stack.lemond.unloads()).toBe(0);
    expect((await stack.chat({ headers: user })).status).toBe(200);
    const admin = { "x-api-key": "admin-key" };
    expect(await (await fetch(`${stack.url}/health`, { headers: admin })).json()).toHaveProperty("slots");
    expect((await fetch(url(stack), { method: "POST", headers: admin })).status).toBe(200);
    expect(stack.lemond.unloads()).toBe(1);
    expect(JSON.stringify([stack.lines, stack.lemond.calls])).not.toMatch(/(user|admin)-key/);
  });

  test("without keys are for this machine, and not for whom a proxy on it asks", async () => {
    await using stack = await startStack();
    const headers = { "x-forwarded-for": "192.168.1.9" };
    const refused = await fetch(url(stack), { method: "POST", headers });
    expect([refused.status, (await errorOf(refused)).code]).toEqual([403, "auth.control_refused"]);
    expect(stack.lemond.unloads()).toBe(0);
    expect((await fetch(`${stack.url}/api/slots`, { headers })).status).toBe(200);
    expect((await fetch(url(stack), { method: "POST" })).status).toBe(200);
  });

  test("alone with admin keys leave the health to who has one", async () => {
    await using stack = await startStack({ server: { adminKeys: ["admin-key"] } });
    expect(await (await fetch(`${stack.url}/health`)).json()).toEqual({ status: "ok" });
    expect((await stack.chat()).status).toBe(200);
  });
});

test("every route that the network may reach answers to the addresses and names of this machine", async () => {
  const app = createApp({
    // As bound to every address; it listens on loopback here.
    config: () => stackConfig("http://127.0.0.1:9", { server: { host: "0.0.0.0", allowAnonymous: true } }),
    accepted: createAccepted(),
    lemond: NO_LEMOND,
    dispatch: () => Promise.resolve(new Response("dispatched")),
    isDraining: () => false,
    instance: "us",
    ownHosts: ["shelf", "shelf.lan"],
    log: createLog("error", () => {}),
    routes: [{ method: "GET", path: "/live", access: "open", handler: () => new Response("lives") }],
  });
  app.listen({ hostname: "127.0.0.1", port: 0 });
  const port = app.server?.port ?? 0;
  const get = (host: string, path: string) =>
    rawRequest(port, ["GET " + path + " HTTP/1.1", `Host: ${host}`, "", ""].join("\r\n"));
  for (const host of ["192.168.1.20:8080", "shelf:8080", "shelf.lan", `127.0.0.1:${port}`])
    expect([host, (await get(host, "/live")).status]).toEqual([host, 200]);
  expect((await get("evil.example", "/live")).status).toBe(400);
  await app.stop(true);
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
