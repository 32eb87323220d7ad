// A child that answers at once, so that what is measured is the way to it: canned replies, one per connection, as the real
// llama-server closes a connection after a streamed reply. Arguments: --port N, as llama-server has it.
import { argument, begin, event, json, STREAM_END, STREAM_HEAD } from "./wire.ts";

const MODEL = "/models/bench.gguf";
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
/** 64 tokens, each a chunk of its own, in 8 writes: tokens of a fast model arrive together too. */
const TOKENS = Array.from({ length: 8 }, (_, at) =>
  Buffer.from(Array.from({ length: 8 }, (_, n) => event(MODEL, { content: ` token ${at * 8 + n}` })).join("")),
);
const END = Buffer.from(STREAM_END);

interface State {
  head: string;
  missing: number;
  isStream: boolean;
}

Bun.listen<State>({
  hostname: "127.0.0.1",
  port: Number(argument("--port")),
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
        socket.end(END);
      }
    },
  },
});
