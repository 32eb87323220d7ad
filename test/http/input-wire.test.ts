// Bad requests on raw sockets, where fetch would not send them: the envelope or a closed connection, and the server lives.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { errorIn } from "../envelope.ts";
import { openRaw, parseReply, requestText } from "../lemond/raw-client.ts";
import { startStack, type Stack } from "../stack.ts";

const CANARY = "canary-7f3a";
const PREFIXES = ["/v1", "/api/v1"];

let stack: Stack;
beforeAll(async () => {
  stack = await startStack({ server: { allowedHosts: ["ai", "nas", "a"] } });
});
afterAll(async () => {
  // Whatever came in: the slot was left alone, and the server still serves.
  const { lemond } = stack;
  expect(await (await stack.chat({ model: "primary" })).json()).toMatchObject({ object: "chat.completion" });
  expect([lemond.loads(), lemond.unloads(), lemond.unloadAlls()]).toEqual([1, 0, 0]);
  expect(JSON.stringify(stack.lines)).not.toContain(CANARY);
  expect(stack.logged("server.internal")).toEqual([]);
  expect((await stack.slot()).in_flight).toBe(0);
  await stack[Symbol.asyncDispose]();
});

const port = (): number => Number(new URL(stack.url).port);
const prompts = (): number => stack.lemond.child("tiny-a")?.prompts() ?? 0;

/** One raw request; its reply is empty where the connection was closed without one. */
async function raw(text: string) {
  const connection = await openRaw(port());
  connection.send(text);
  const head = await Promise.race([connection.until("\r\n\r\n"), connection.end.then(() => connection.text())]);
  const length = Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0);
  const from = head.indexOf("\r\n\r\n");
  while (from >= 0 && connection.text().length < from + 4 + length) await Bun.sleep(1);
  connection.close();
  return parseReply(connection.text());
}

describe("on the wire", () => {
  const host = "Host: 127.0.0.1";
  const chat = (headers: readonly string[] = [], target = "/v1/chat/completions"): string =>
    requestText("POST", target, headers, '{"messages":[]}');

  test("methods of other worlds get the envelope or a closed connection, never a page", async () => {
    for (const method of ["TRACE", "PROPFIND", "PATCH", "DELETE", "PUT"])
      for (const path of ["/v1/chat/completions", "/v1/models", "/nothing"]) {
        const reply = await raw(`${method} ${path} HTTP/1.1\r\n${host}\r\nX-Canary: ${CANARY}\r\n\r\n`);
        expect([method, path, reply.status]).toEqual([method, path, path === "/nothing" ? 404 : 405]);
        expect(errorIn(reply.body).code).toBe(path === "/nothing" ? "request.not_found" : "request.method_not_allowed");
        expect(JSON.stringify(reply)).not.toContain(CANARY);
      }
    const connect = await raw(`CONNECT 127.0.0.1:80 HTTP/1.1\r\n${host}\r\n\r\n`);
    expect([404, 405]).toContain(connect.status);
    expect(errorIn(connect.body).code).toMatch(/^request\./);
    const brew = await raw(`BREW /v1/models HTTP/1.1\r\n${host}\r\n\r\n`);
    expect(brew.body).not.toContain("<");
    expect(JSON.stringify(stack.lemond.child("tiny-a")?.requests)).not.toContain(CANARY);
  });

  test("paths of other worlds get the envelope", async () => {
    const paths = [
      "//",
      "///v1/models",
      "/v1//models",
      "/%00",
      "/%ff",
      "/v1/%63hat/completions%00",
      "/..%2f..%2fetc/passwd",
      "/v1/chat/completions//",
      "/nothing?x=/v1/models",
      "/v1/models%",
      `/${"a".repeat(4000)}`,
    ];
    for (const path of paths)
      for (const method of ["GET", "POST"]) {
        const reply = await raw(`${method} ${path} HTTP/1.1\r\n${host}\r\nContent-Length: 0\r\n\r\n`);
        expect([path, reply.status]).toEqual([path, 404]);
        expect(errorIn(reply.body).code).toBe("request.not_found");
        expect(reply.body.length).toBeLessThan(1000);
      }
  });

  test("a host name may be as short as a letter", async () => {
    for (const name of ["ai", "nas", "a", "nas:80"])
      for (const prefix of PREFIXES) {
        const text = (method: string, path: string, body = ""): string =>
          requestText(method, path, [], body).replace(host, `Host: ${name}`);
        const codes = [
          (await raw(text("GET", `${prefix}/models`))).status,
          (await raw(text("GET", `${prefix}/models/tiny-a`))).status,
          (await raw(text("POST", `${prefix}/chat/completions`, '{"messages":[]}'))).status,
          (await raw(text("OPTIONS", `${prefix}/chat/completions`))).status,
          (await raw(text("DELETE", `${prefix}/models`))).status,
          (await raw(text("GET", "/api/slots/primary"))).status,
          (await raw(text("GET", "/nothing"))).status,
        ];
        expect([name, ...codes]).toEqual([name, 200, 200, 200, 204, 405, 200, 404]);
      }
  });

  test("a host that no URL can have is a 400 that names the header, with any method and path", async () => {
    for (const name of ["127.0.0.1:99999", "127.0.0.1:8080:8080", "[::1", "a b"])
      for (const text of [chat(), chat([], "/v1/messages"), `GET /live HTTP/1.1\r\n${host}\r\n\r\n`]) {
        const reply = await raw(text.replace(host, `Host: ${name}`));
        expect([name, reply.status]).toEqual([name, 400]);
        expect(errorIn(reply.body)).toMatchObject({ code: "request.invalid", details: { path: "headers.host" } });
      }
  });

  test("a host that is none, missing or twice gets no page and no model", async () => {
    for (const lines of ["", "Host: \r\n", "Host: a b\r\n", "Host: /\r\n", "Host: [::1\r\n", `Host: x@${CANARY}\r\n`]) {
      const reply = await raw(`GET /v1/models HTTP/1.1\r\n${lines}\r\n`);
      expect([lines, reply.status === 200]).toEqual([lines, false]);
      expect(reply.body).not.toContain("<");
      expect(reply.body).not.toContain(CANARY);
    }
  });

  test("header values of 10 KB pass, those that are too large are refused without a page", async () => {
    expect((await raw(chat([`X-Large: ${"x".repeat(10_000)}`]))).status).toBe(200);
    const huge = await raw(chat([`X-Large: ${CANARY}${"x".repeat(1_000_000)}`]));
    expect(huge.status === 200).toBe(false);
    expect(huge.body).not.toContain("<");
    expect(huge.body).not.toContain(CANARY);
  });

  test("what is no HTTP at all closes the connection and reaches no child", async () => {
    const before = prompts();
    for (const text of [
      "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
      "GET\r\n\r\n",
      "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -5\r\n\r\n{}",
      "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\nContent-Length: 30\r\n\r\n{}",
      "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
      "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    ]) {
      const connection = await openRaw(port());
      connection.send(text);
      // A TLS hello may wait for more to come; that is a connection, not a fault.
      await Promise.race([connection.end, Bun.sleep(150)]);
      connection.close();
      expect(connection.text()).not.toContain("200 OK");
      expect(connection.text()).not.toContain("<");
    }
    expect(prompts()).toBe(before);
    expect((await raw(chat())).status).toBe(200);
  });

  test("a request that waits for permission to send gets it", async () => {
    const connection = await openRaw(port());
    const received = stack.lemond.child("tiny-a")?.received();
    const head = chat(["Expect: 100-continue"]).replace('{"messages":[]}', "");
    connection.send(head);
    await connection.until("100 Continue");
    connection.send('{"messages":[]}');
    await connection.until("200 OK");
    connection.close();
    expect((await received)?.headers["expect"]).toBeUndefined();
  });
});
