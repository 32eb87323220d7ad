// A child that speaks a word every 30 ms and goes on with a text, so cheap that what a continuation costs is the server's alone:
// the simulated child, whose JavaScript is new to its process, takes several times as long for an answer as llama-server.
import { argument, begin, event, json, STREAM_END, STREAM_HEAD } from "./wire.ts";

const WORDS = 34;
const WORD_MS = 30;
const MODEL = argument("-m");

interface Message {
  readonly role: string;
  readonly content: string;
}
interface Asked {
  readonly content: string;
  readonly messages: readonly Message[];
  readonly continue_final_message?: string;
  readonly add_generation_prompt?: boolean;
}

const wordsIn = (text: string): readonly string[] => text.match(/\S+\s*/g) ?? [];

/** ChatML, its last message left open where it shall be continued. */
function promptOf({ messages, continue_final_message }: Asked): string {
  const closed = messages.map(({ role, content }) => `<|im_start|>${role}\n${content}<|im_end|>\n`).join("");
  return continue_final_message ? closed.slice(0, -"<|im_end|>\n".length) : `${closed}<|im_start|>assistant\n`;
}

/** The last word's time is followed by that of the end. */
function speak(socket: Bun.Socket<State>, { messages }: Asked): void {
  const last = messages.at(-1);
  let said = last?.role === "assistant" ? wordsIn(last.content).length : 0;
  let dueMs = performance.now();
  const next = (): void => {
    if (socket.data.isClosed) return;
    if (said === WORDS) return void socket.end(event(MODEL, {}, "stop") + STREAM_END);
    socket.write(event(MODEL, { content: `word${said++} ` }));
    dueMs += WORD_MS;
    setTimeout(next, Math.max(0, dueMs - performance.now()));
  };
  socket.write(STREAM_HEAD);
  socket.write(event(MODEL, { role: "assistant", content: null }));
  next();
}

function answer(socket: Bun.Socket<State>, path: string, body: string): void {
  if (path === "/health") return void socket.end(json({ status: "ok" }));
  if (path === "/v1/models") return void socket.end(json({ object: "list", data: [{ id: MODEL }] }));
  const asked = JSON.parse(body) as Asked;
  if (path === "/v1/chat/completions") return speak(socket, asked);
  if (path === "/tokenize") return void socket.end(json({ tokens: wordsIn(asked.content).map((_, at) => at) }));
  const isContradiction = Boolean(asked.continue_final_message) && asked.add_generation_prompt === true;
  const error = { code: 400, message: "Cannot set both flags", type: "invalid_request_error" };
  socket.end(isContradiction ? json({ error }, "400 Bad Request") : json({ prompt: promptOf(asked) }));
}

interface State {
  request: string;
  isClosed: boolean;
}

Bun.listen<State>({
  hostname: "127.0.0.1",
  port: Number(argument("--port")),
  socket: {
    open: (socket) => {
      socket.data = { request: "", isClosed: false };
    },
    data: (socket, bytes) => {
      const { data } = socket;
      data.request += bytes.toString("latin1");
      const begun = begin(data.request);
      if (!begun || data.request.length < begun.bodyAt + begun.length) return;
      const [, path = ""] = data.request.split(" ", 2);
      answer(socket, path, data.request.slice(begun.bodyAt));
    },
    close: ({ data }) => {
      data.isClosed = true;
    },
  },
});
