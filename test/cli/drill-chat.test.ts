// When a drill calls an answer whole: over real sockets, with answers that break off in every way.
import { expect, test } from "bun:test";
import { chat } from "../../src/cli/drill-chat.ts";

const text = 'data: {"choices":[{"delta":{"content":"one"},"finish_reason":null}]}\n\n';
const thought = 'data: {"choices":[{"delta":{"reasoning_content":"hm"},"finish_reason":null}]}\n\n';
const role = 'data: {"choices":[{"delta":{"role":"assistant","content":null},"finish_reason":null}]}\n\n';
const end = 'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n';
const usage = 'data: {"choices":[],"usage":{"prompt_tokens":1}}\n\n';
const done = "data: [DONE]\n\n";
const broken = 'data: {"error":{"message":"It broke.","code":"dispatch.stream_interrupted"}}\n\n';
const plain = (message: object, finish_reason: string | null): string =>
  JSON.stringify({ choices: [{ message, finish_reason }] });

test.each<[isStream: boolean, status: number, body: string, fault: string | null]>([
  [true, 200, role + text + end + usage + done, null],
  [true, 200, `: loading of primary\n\n${thought}${end}${done}`, null],
  [true, 200, (text + end + done).replaceAll("\n", "\r\n"), null],
  [true, 200, text + end, "the stream ended without [DONE]"],
  [true, 200, text + broken, "dispatch.stream_interrupted: It broke."],
  [true, 200, role + end + done, "the stream ended without text or without a reason for its end"],
  [true, 200, text + done, "the stream ended without text or without a reason for its end"],
  [true, 200, "data: {\n\n", "an event of the stream is not a chat completion's"],
  [false, 200, plain({ content: "one" }, "stop"), null],
  [false, 200, plain({ content: null, reasoning_content: "hm" }, "length"), null],
  [false, 200, plain({ content: "" }, "stop"), "the answer is not a whole chat completion"],
  [false, 200, plain({ content: "one" }, null), "the answer is not a whole chat completion"],
  [false, 200, "{", "the answer is not a whole chat completion"],
  [false, 503, '{"error":{"message":"Loading.","code":"slot.loading"}}', "503: slot.loading: Loading."],
  [true, 502, "<html>", "502: no reason given"],
])("stream %p, %p, %j: %p", async (isStream, status, body, fault) => {
  using server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response(body, { status }) });
  const asked = { url: server.url.origin, headers: {}, model: "m", prompt: "p", maxTokens: 8, isStream };
  expect((await chat(asked)).fault).toBe(fault);
});

test("a connection that breaks is no whole answer, and the first text is told before the rest is read", async () => {
  let texts = 0;
  // One chunk, and an end without the last one.
  const head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
  using server = Bun.listen({
    port: 0,
    hostname: "127.0.0.1",
    socket: {
      data: (socket) => {
        socket.write(`${head}${text.length.toString(16)}\r\n${text}\r\n`);
        setTimeout(() => socket.end(), 20);
      },
    },
  });
  const asked = {
    url: `http://127.0.0.1:${server.port}`,
    headers: {},
    model: "m",
    prompt: "p",
    maxTokens: 8,
    isStream: true,
  };
  const answer = await chat(asked, { onText: async () => void (texts += 1), onSeam: () => {} });
  expect([answer.fault, texts]).toEqual([expect.stringContaining("the connection broke"), 1]);
});
