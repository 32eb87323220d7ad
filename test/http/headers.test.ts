// Which headers pass: the rules as tables, then the wire on both sides of the real server.
import { describe, expect, test } from "bun:test";
import { hasPassed, requestHeaders, requestId, responseHeaders } from "../../src/http/headers.ts";
import { errorOf } from "../envelope.ts";
import { startRemote } from "../remote.ts";
import { rawRequest, requestText } from "../lemond/raw-client.ts";
import { startStack } from "../stack.ts";

const HOP_BY_HOP = [
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
];
const OURS = [
  "host",
  "content-length",
  "expect",
  "authorization",
  "x-api-key",
  "api-key",
  "cookie",
  "origin",
  "referer",
];

describe("a request's headers", () => {
  const sent = (headers: Record<string, string>, key: string | null = null, wantsStream = false) =>
    Object.fromEntries(requestHeaders(new Headers(headers), { key, wantsStream, instance: "us" }).entries());
  const always = { "x-hal0-via": "us", connection: "close" };

  test("pass end to end", () => {
    const own = { "accept-encoding": "gzip", "anthropic-version": "2023-06-01", "x-own": "a, b", "user-agent": "SDK" };
    expect(sent(own)).toEqual({ ...own, ...always });
  });

  test.each([...HOP_BY_HOP, ...OURS])("lose %s", (name) => {
    const { [name]: left, ...rest } = sent({ [name]: "canary", "x-own": "kept" });
    expect(left).toBe(name === "connection" ? "close" : undefined);
    expect(rest).toMatchObject({ "x-own": "kept" });
  });

  test("lose what Connection names, whatever it is written like", () => {
    const headers = { connection: "Keep-Alive ,X-Private,, not a token, x-other", "x-private": "1", "x-other": "2" };
    expect(sent({ ...headers, "x-kept": "3" })).toEqual({
      "x-kept": "3",
      "accept-encoding": "identity",
      ...always,
    });
  });

  test("ask for no encoding where the client named none, since none would mean any", () => {
    expect(sent({})["accept-encoding"]).toBe("identity");
    expect(sent({ "accept-encoding": "br" })["accept-encoding"]).toBe("br");
  });

  test("name this server behind those that the request has passed through", () => {
    expect(sent({ "x-hal0-via": "another" })["x-hal0-via"]).toBe("another, us");
    for (const [via, has] of [
      ["us", true],
      ["another, us", true],
      ["another", false],
    ] as const)
      expect(hasPassed(new Headers({ "x-hal0-via": via }), "us")).toBe(has);
    expect(hasPassed(new Headers(), "us")).toBe(false);
  });

  test("ask for no encoding of a stream, whatever the client named", () => {
    expect(sent({ "accept-encoding": "br" }, null, true)["accept-encoding"]).toBe("identity");
  });

  test("carry a remote's own key in place of the client's", () => {
    expect(sent({ authorization: "Bearer canary", "x-api-key": "canary" }, "remote-key")).toEqual({
      authorization: "Bearer remote-key",
      "accept-encoding": "identity",
      ...always,
    });
  });

  test("cannot name the remote's key away", () => {
    expect(sent({ connection: "authorization" }, "remote-key")).toMatchObject({ authorization: "Bearer remote-key" });
  });
});

describe("a reply's headers", () => {
  const returned = (headers: Record<string, string>) => [...responseHeaders(new Headers(headers)).entries()];

  const gone = [
    ...HOP_BY_HOP,
    "content-length",
    "set-cookie",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "x-hal0-repair",
    "x-hal0-anything",
  ];
  test.each(gone)("lose %s", (name) => {
    expect(returned({ [name]: "1", "x-own": "kept" })).toEqual([["x-own", "kept"]]);
  });

  test("lose all of these at once", () => {
    expect(returned(Object.fromEntries([...gone.map((name) => [name, "1"]), ["x-own", "kept"]]))).toEqual([
      ["x-own", "kept"],
    ]);
  });

  test("lose what Connection names", () => {
    expect(returned({ connection: "close, X-Private", "x-private": "1", "x-own": "kept" })).toEqual([
      ["x-own", "kept"],
    ]);
  });

  test("lose every cookie of several", () => {
    const headers = new Headers();
    headers.append("set-cookie", "a=1; Path=/");
    headers.append("set-cookie", "b=2");
    expect(responseHeaders(headers).getSetCookie()).toEqual([]);
  });
});

describe("x-request-id", () => {
  test.each(["a", "req_01HZX:7/8", "~".repeat(128)])("of the client is kept: %s", (id) => {
    expect(requestId(new Headers({ "x-request-id": id }))).toBe(id);
  });

  test.each(["", "two words", "a\tb", "é", "x".repeat(129)])("that is odd is replaced: %p", (id) => {
    const made = requestId(new Headers({ "x-request-id": id }));
    expect(made).toMatch(/^[0-9a-f-]{36}$/);
    expect(requestId(new Headers({ "x-request-id": id }))).not.toBe(made);
  });
});

describe("on the wire", () => {
  const asked = ["Authorization: Bearer canary-key", "X-Api-Key: canary-key", "Cookie: canary-cookie"];

  test("a child gets the client's end-to-end headers, and neither key nor query", async () => {
    await using stack = await startStack();
    const body = JSON.stringify({ messages: [] });
    const extra = ["Connection: keep-alive, X-Private", "X-Private: canary", "TE: trailers", "X-Own: kept", ...asked];
    const port = Number(new URL(stack.url).port);
    const text = requestText("POST", "/v1/chat/completions?api_key=canary-query&b=%2F%20x", extra, body);
    expect((await rawRequest(port, text)).status).toBe(200);
    const child = stack.lemond.child("tiny-a");
    const got = await child?.receivedAny();
    expect(got?.path).toBe("/v1/chat/completions");
    expect(got?.headers).toMatchObject({ connection: "close", "x-own": "kept", host: `127.0.0.1:${child?.port}` });
    expect(JSON.stringify(child?.requests)).not.toContain("canary");
    expect(JSON.stringify(stack.lemond.calls)).not.toContain("canary");
    expect(JSON.stringify(stack.lines)).not.toContain("canary");
  });

  test("a remote gets its own key, or none", async () => {
    await using remote = await startRemote();
    const url = `${remote.url}/base`;
    await using stack = await startStack({
      upstreams: [
        { name: "keyed", url, apiKey: "remote-key", models: ["keyed/*"] },
        { name: "open", url, apiKey: null, models: ["open/*"] },
      ],
    });
    const headers = { authorization: "Bearer canary-key", "x-api-key": "canary-key", "x-own": "kept" };
    for (const model of ["keyed/m", "open/m"]) {
      const response = await stack.post("/v1/chat/completions?api_key=canary-query", { model }, { headers });
      expect([response.status, response.headers.get("x-hal0-upstream")]).toEqual([200, model.split("/")[0] ?? ""]);
    }
    expect(remote.requests.map(({ path }) => path)).toEqual(Array(2).fill("/base/chat/completions"));
    expect(remote.requests.map(({ headers }) => headers["authorization"])).toEqual(["Bearer remote-key", undefined]);
    expect(remote.requests.map(({ headers }) => [headers["x-own"], headers["x-api-key"]])).toEqual(
      Array(2).fill(["kept", undefined]),
    );
    expect(JSON.stringify(remote.requests)).not.toContain("canary");
    expect(JSON.stringify(stack.lines)).not.toContain("remote-key");
  });

  test("a plain reply names request and upstream, and keeps the child's own headers", async () => {
    await using stack = await startStack();
    const sim = { headers: { "X-Own": "kept", "Proxy-Connection": "x", "X-Private": "1" } };
    const { headers, status } = await stack.chat({ sim, headers: { "x-request-id": "mine-7" } });
    expect(status).toBe(200);
    expect(headers.get("x-request-id")).toBe("mine-7");
    expect(headers.get("x-hal0-upstream")).toBe("primary");
    expect(headers.get("x-hal0-repair")).toBeNull();
    expect([headers.get("x-own"), headers.get("proxy-connection")]).toEqual(["kept", null]);
    expect(headers.get("keep-alive")).toBeNull();
    expect(headers.get("x-accel-buffering")).toBeNull();
    expect(headers.get("content-type")).toBe("application/json; charset=utf-8");
    expect((await stack.line("dispatch.decision"))["request_id"]).toBe("mine-7");
    const odd = await stack.chat({ headers: { "x-request-id": "two words" } });
    expect(odd.headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
  });

  test("a streamed reply is not to be buffered or cached, unless the child says otherwise", async () => {
    await using stack = await startStack();
    const plain = await stack.chat({ stream: true });
    expect([plain.headers.get("x-accel-buffering"), plain.headers.get("cache-control")]).toEqual(["no", "no-cache"]);
    expect(plain.headers.get("content-type")).toBe("text/event-stream");
    await plain.text();
    const own = await stack.chat({ stream: true, sim: { headers: { "Cache-Control": "private, no-store" } } });
    expect(own.headers.get("cache-control")).toBe("private, no-store");
    await own.text();
  });

  test("a reply's hop-by-hop headers stay behind, those that Connection names too", async () => {
    await using remote = await startRemote(
      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close, X-Private\r\nX-Private: canary\r\n" +
        "Keep-Alive: timeout=5\r\nX-Own: kept\r\nX-Request-Id: canary\r\nX-Hal0-Upstream: canary\r\n" +
        "X-Hal0-Repair: canary\r\nSet-Cookie: a=canary\r\nAccess-Control-Expose-Headers: canary\r\nContent-Length: 2\r\n\r\n{}",
    );
    await using stack = await startStack({
      upstreams: [{ name: "far", url: remote.url, apiKey: null, models: ["far/*"] }],
    });
    const response = await stack.post("/v1/chat/completions", { model: "far/m" });
    const shown = JSON.stringify([...response.headers]);
    expect(shown).not.toContain("canary");
    expect(response.headers.get("x-own")).toBe("kept");
    expect(response.headers.get("x-hal0-upstream")).toBe("far");
    expect(await response.text()).toBe("{}");
  });
});

test("a request that comes round again is refused the second time, whatever led it back", async () => {
  let back = "";
  let rounds = 0;
  // Something between the two that this server cannot see through.
  await using between = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async (request) => {
      if (++rounds > 20) return Response.json({});
      const headers = new Headers(request.headers);
      headers.delete("host");
      return fetch(back, { method: "POST", headers, body: await request.text() });
    },
  });
  const upstreams = [{ name: "round", url: `http://127.0.0.1:${between.port}/v1`, apiKey: null, models: ["round/*"] }];
  await using stack = await startStack({ upstreams });
  back = `${stack.url}/v1/chat/completions`;
  const response = await stack.chat({ model: "round/m" });
  expect([response.status, response.headers.get("x-hal0-upstream")]).toEqual([508, "round"]);
  expect(await errorOf(response)).toMatchObject({ code: "request.loop", type: "invalid_request_error" });
  expect(rounds).toBe(1);
  // A child and another server of this kind are told the same.
  await (await stack.chat({ headers: { "x-hal0-via": "another" } })).text();
  const child = await stack.child().receivedAny();
  expect(child.headers["x-hal0-via"]).toMatch(/^another, [0-9a-f-]{36}$/);
});
