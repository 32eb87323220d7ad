// Bad input: each kind gets the envelope with its status, nothing of it is echoed or sent on, and the server lives.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { errorIn, errorOf } from "../envelope.ts";
import { openRaw } from "../lemond/raw-client.ts";
import { startStack, type Stack } from "../stack.ts";

const LIMIT = 200_000;
const CANARY = "canary-7f3a";
const PREFIXES = ["/v1", "/api/v1"];

let stack: Stack;
beforeAll(async () => {
  stack = await startStack({ server: { maxBodyBytes: LIMIT } });
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

describe("a body", () => {
  const deep = (open: string, close: string): string => open.repeat(100_000 / open.length) + close.repeat(50_000);
  const bodies: [string, string | Uint8Array, string][] = [
    ["that is broken JSON", `{"messages":[{"content":"${CANARY}"`, ""],
    ["that has a comma too many", `{"x":"${CANARY}",}`, ""],
    ["that is empty", "", ""],
    ["of white space", " \r\n\t ", ""],
    ["that is a list", `["${CANARY}"]`, ""],
    ["that is a number", "5", ""],
    ["that is a string", `"${CANARY}"`, ""],
    ["that is null", "null", ""],
    ["that is true", "true", ""],
    ["that is a form", `model=${CANARY}&stream=true`, ""],
    ["100,000 lists deep", deep("[", ""), ""],
    ["100,000 objects deep", deep('{"a":', ""), ""],
    [
      "of invalid UTF-8",
      Buffer.concat([Buffer.from(`{"x":"${CANARY}`), Buffer.from([0xff, 0xfe]), Buffer.from('"}')]),
      "",
    ],
    ["of UTF-8 cut inside a letter", Buffer.concat([Buffer.from(`{"x":"${CANARY}`), Buffer.from([0xe2, 0x82])]), ""],
    ["of UTF-16", Buffer.from(`{"x":"${CANARY}"}`, "utf16le"), ""],
    ["with a model that is a number", `{"model":5,"x":"${CANARY}"}`, "model"],
    ["with a model that is a list", `{"model":["${CANARY}"]}`, "model"],
    ["with a model that is an object", `{"model":{"${CANARY}":1}}`, "model"],
    ["with a model that is true", `{"model":true}`, "model"],
    ["with a stream that is a word", `{"model":"primary","stream":"${CANARY}"}`, "stream"],
    ["with a stream that is a number", `{"model":"primary","stream":1}`, "stream"],
    ["with a stream that is a list", `{"stream":["${CANARY}"]}`, "stream"],
  ];
  test.each(bodies)("%s is refused with the path of the fault, and sent nowhere", async (_, body, path) => {
    const before = prompts();
    for (const prefix of PREFIXES)
      for (const route of ["chat/completions", "messages", "responses", "embeddings"]) {
        const response = await stack.post(`${prefix}/${route}`, body);
        expect(response.status).toBe(400);
        const text = await response.text();
        expect(text).not.toContain(CANARY);
        expect(text.length).toBeLessThan(1000);
        expect(errorIn(text)).toMatchObject({
          code: "request.invalid",
          type: "invalid_request_error",
          details: { path },
        });
        expect(text.includes('"type":"error"')).toBe(route === "messages");
        expect(response.headers.get("x-request-id")).not.toBeNull();
      }
    expect(prompts()).toBe(before);
  });

  test("that is encoded is refused, and sent nowhere", async () => {
    const before = prompts();
    for (const route of ["chat/completions", "messages"]) {
      const body = Bun.gzipSync(`{"model":"primary","messages":["${CANARY}"]}`);
      const response = await stack.post(`/v1/${route}`, body, { headers: { "content-encoding": "gzip" } });
      expect([response.status, response.headers.get("accept-encoding")]).toEqual([415, "identity"]);
      expect((await errorOf(response)).code).toBe("request.unsupported_encoding");
    }
    expect(prompts()).toBe(before);
    const plain = { headers: { "content-encoding": "identity" } };
    expect((await stack.post("/v1/chat/completions", { model: "primary", messages: [] }, plain)).status).toBe(200);
  });

  test("that names an unknown model is told what there is, without the rest of it", async () => {
    const names = [
      "nothing",
      "__proto__",
      "constructor",
      "../../etc/passwd",
      "primary\0",
      `${"x".repeat(5000)}${CANARY}`,
    ];
    for (const prefix of PREFIXES)
      for (const model of names) {
        const response = await stack.post(`${prefix}/chat/completions`, { model, messages: [CANARY] });
        expect(response.status).toBe(404);
        const text = await response.text();
        expect(text).not.toContain(CANARY);
        expect(text.length).toBeLessThan(2000);
        const { code, details } = errorIn(text);
        expect(code).toBe("dispatch.no_route");
        expect(details["model"]).toBe(model.slice(0, 200));
        expect(details["available"]).toContain("primary");
      }
  });

  test("whose model or stream is null counts as one that names none", async () => {
    const response = await stack.post("/v1/chat/completions", { model: null, stream: null, messages: [] });
    expect(response.status).toBe(200);
  });

  test("with the same key twice means the last one, and arrives as it was written", async () => {
    const body = `{"model":"nothing","stream":true,"model":"primary","stream":false,"messages":[],"sim":{"echo":true}}`;
    const response = await stack.post("/v1/chat/completions", body);
    expect(response.status).toBe(200);
    const sha256 = new Bun.CryptoHasher("sha256").update(body).digest("hex");
    expect(await response.json()).toEqual({ sha256, bytes: body.length });
  });

  test("with JavaScript's own names in it changes nothing and arrives as it was written", async () => {
    const body = `{"__proto__":{"model":"nothing","stream":true},"constructor":{"prototype":{"x":1}},"messages":[],"sim":{"echo":true}}`;
    const response = await stack.post("/v1/chat/completions", body);
    expect([response.status, response.headers.get("x-hal0-upstream")]).toEqual([200, "primary"]);
    expect(await response.json()).toMatchObject({ bytes: body.length });
    expect(Object.keys(Object.prototype)).toEqual([]);
  });

  test("with a byte order mark, line breaks and escapes arrives as it was written", async () => {
    const body = Buffer.from(`\uFEFF\r\n{ "model" : "\\u0070rimary",\n"messages":[], "sim":{"echo":true} }\n\n`);
    const response = await stack.post("/v1/chat/completions", body);
    // llama-server's own parser takes the mark too, the stand-in does not: its 400 proves that the bytes got there.
    expect(response.headers.get("x-hal0-upstream")).toBe("primary");
    await stack.lemond.child("tiny-a")?.receivedAny(({ bodyBytes }) => bodyBytes === body.length);
  });
});

describe("a body over the limit", () => {
  const over = `{"x":"${CANARY}${"x".repeat(100 * LIMIT)}"}`;

  test("gets the envelope, not a reset, with a length and chunked", async () => {
    const chunked = (): ReadableStream =>
      new ReadableStream({
        start(controller) {
          for (let at = 0; at < over.length; at += 500_000)
            controller.enqueue(Buffer.from(over.slice(at, at + 500_000)));
          controller.close();
        },
      });
    for (const prefix of PREFIXES)
      for (const body of [over, chunked()]) {
        const response = await fetch(`${stack.url}${prefix}/messages`, { method: "POST", body });
        expect(response.status).toBe(413);
        const error = await errorOf(response);
        expect(error).toMatchObject({
          code: "request.too_large",
          type: "request_too_large",
          details: { limit: LIMIT },
        });
      }
  });

  test("gets it also on a slow connection that is still sending, which then serves the next request", async () => {
    const connection = await openRaw(port());
    connection.send(`POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: ${over.length}\r\n\r\n`);
    for (let at = 0; at < over.length; at += 1_000_000) {
      connection.send(over.slice(at, at + 1_000_000));
      await Bun.sleep(1);
    }
    const text = await connection.until("request.too_large");
    expect(text).toStartWith("HTTP/1.1 413");
    connection.send("GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    await connection.until('{"status":"ok"}');
    connection.close();
  });

  test("is refused by one byte, and taken at the limit", async () => {
    const empty = '{"messages":[],"sim":{"echo":true},"x":""}';
    const atLimit = empty.replace('"x":""', `"x":"${"x".repeat(LIMIT - empty.length)}"`);
    expect((await stack.post("/v1/chat/completions", atLimit)).status).toBe(200);
    expect((await stack.post("/v1/chat/completions", `${atLimit} `)).status).toBe(413);
  });

  test("of an operator's action is refused too", async () => {
    const response = await stack.post("/api/slots/primary/swap", { model: "x".repeat(100_000) });
    expect(response.status).toBe(413);
    await errorOf(response);
  });
});

test("a large body with a control character far inside what is looked at is refused like a small one", async () => {
  await using stack = await startStack();
  const long = `${CANARY}${"x".repeat(300_000)}\n`;
  const broken = (fields: object): string => JSON.stringify(fields).replace("x\\n", "x\n");
  const requests = [
    ["/v1/chat/completions", broken({ model: long })],
    ["/v1/chat/completions", broken({ model: "primary", messages: [], tools: [{ description: long }] })],
    ["/v1/unload", broken({ model_name: "tiny-a", note: long })],
  ] as const;
  for (const [path, body] of requests) {
    const response = await stack.post(path, body);
    expect(response.status).toBe(400);
    expect(await errorOf(response)).toMatchObject({ code: "request.invalid", details: { path: "" } });
  }
  expect([stack.lemond.unloads(), stack.lemond.unloadAlls(), stack.child().prompts()]).toEqual([0, 0, 0]);
  expect(JSON.stringify(stack.lines)).not.toContain(CANARY);
});

test("a key with a control character in a large body is the upstream's to refuse", async () => {
  await using stack = await startStack();
  const key = String.raw`"mod\u0065l${"x".repeat(200_000)}`;
  const body = `{"messages":[{"role":"user","content":"${"y".repeat(100_000)}"}],${key}\n":1}`;
  const response = await stack.post("/v1/chat/completions", body);
  expect(response.headers.get("x-hal0-upstream")).toBe("primary");
  expect(await response.text()).not.toContain("server.internal");
  expect(stack.child().requests.findLast(({ method }) => method === "POST")?.bodyBytes).toBe(body.length);
  expect(stack.logged("server.internal")).toEqual([]);
});

describe("an operator's swap", () => {
  test.each(["", "{", "[]", "5", "null", "{}", '{"model":5}', '{"model":""}', '{"model":null}', '{"Model":"tiny-b"}'])(
    "with the body %p is refused, and nothing is unloaded",
    async (body) => {
      const response = await stack.post("/api/slots/primary/swap", body);
      expect(response.status).toBe(400);
      expect(await errorOf(response)).toMatchObject({ code: "request.invalid", details: { path: "model" } });
      expect((await stack.slot()).state).not.toBe("unloading");
    },
  );
});
