// A child that answers at once, so that what is measured is the way to it: canned replies, one per connection, as the real
// llama-server closes a connection after a streamed reply. Arguments: --port N, as llama-server has it.
const port = Number(process.argv[process.argv.indexOf("--port") + 1]);
const MODEL = "/models/bench.gguf";

const reply = (headers: string, body: string): Buffer =>
  Buffer.from(`HTTP/1.1 200 OK\r\nServer: llama.cpp\r\n${headers}\r\nConnection: close\r\n\r\n${body}`);
const json = (value: unknown): Buffer => {
  const body = JSON.stringify(value);
  return reply(`Content-Type: application/json; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(body)}`, body);
};
const event = (content: string): string => {
  const choices = [{ finish_reason: null, index: 0, delta: { content } }];
  return `data: ${JSON.stringify({ choices, created: 1, id: "chatcmpl-bench", model: MODEL, object: "chat.completion.chunk" })}\n\n`;
};
const chunk = (text: string): string => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;

const usage = { completion_tokens: 8, prompt_tokens: 32, total_tokens: 40 };
const message = { role: "assistant", content: "One two three four five six seven eight." };
const PLAIN = json({
  choices: [{ finish_reason: "stop", index: 0, message }],
  created: 1,
  id: "chatcmpl-bench",
  model: MODEL,
  object: "chat.completion",
  usage,
});
const HEALTH = json({ status: "ok" });
const MODELS = json({ object: "list", data: [{ id: MODEL, object: "model" }] });
const STREAM_HEAD = reply("Content-Type: text/event-stream\r\nTransfer-Encoding: chunked", "");
/** 64 tokens, each a chunk of its own, in 8 writes: tokens of a fast model arrive together too. */
const TOKENS = Array.from({ length: 8 }, (_, at) =>
  Buffer.from(Array.from({ length: 8 }, (_, n) => chunk(event(` token ${at * 8 + n}`))).join("")),
);
const STREAM_END = Buffer.from(`${chunk("data: [DONE]\n\n")}0\r\n\r\n`);

interface State {
  head: string;
  missing: number;
  isStream: boolean;
}

function begin(text: string): { length: number; bodyAt: number } | null {
  const end = text.indexOf("\r\n\r\n");
  if (end < 0) return null;
  return { length: Number(/content-length: *(\d+)/i.exec(text.slice(0, end))?.[1] ?? 0), bodyAt: end + 4 };
}

Bun.listen<State>({
  hostname: "127.0.0.1",
  port,
  socket: {
    open: (socket) => {
      socket.data = { head: "", missing: -1, isStream: false };
    },
    data: (socket, bytes) => {
      const { data } = socket;
      if (data.missing < 0) {
        data.head += bytes.toString("latin1");
        const request = begin(data.head);
        if (!request) return;
        data.missing = request.length - (data.head.length - request.bodyAt);
        data.isStream = data.head.includes('"stream":true');
      } else data.missing -= bytes.length;
      if (data.missing > 0) return;
      if (data.head.startsWith("GET /health")) socket.end(HEALTH);
      else if (data.head.startsWith("GET ")) socket.end(MODELS);
      else if (!data.isStream) socket.end(PLAIN);
      else {
        socket.write(STREAM_HEAD);
        for (const token of TOKENS) socket.write(token);
        socket.end(STREAM_END);
      }
    },
  },
});
