// The official `openai` package where it hears, paints and speaks, against the built executable: forms up, bytes and sockets back.
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import OpenAI from "openai";
import { acrossEviction, KEY, startService, VERSIONS, type Service } from "./service.ts";

// A test takes a second or two; on a busy machine ten times that.
setDefaultTimeout(20_000);

const models = [
  { id: "tiny-a" },
  { id: "tiny-emb", checkpoint: "/models/tiny-embed.gguf", type: "embedding" },
  { id: "whisper-1", type: "transcription", recipe: "whispercpp" },
  { id: "painter", type: "image", recipe: "sd-cpp" },
  { id: "kokoro-v1", type: "tts", recipe: "kokoro" },
] as const;
const loaded = ["whisper-1", "painter", "kokoro-v1"];

const connect = ({ url }: Service): OpenAI => new OpenAI({ baseURL: `${url}/v1`, apiKey: KEY });
/** Every byte there is, many times: whoever takes a part of it for text breaks it. */
const bytes = new Uint8Array(300_000).map((_, at) => at & 255);
const file = (name: string): File => new File([bytes], name);
/** What the simulated models paint and say, 1 KB of it. */
const painted = Buffer.from(bytes.subarray(0, 1024));

interface Way {
  readonly model: string;
  readonly use: (openai: OpenAI) => Promise<unknown>;
  readonly expected: unknown;
}
const base64Of = ({ data }: OpenAI.ImagesResponse): string | undefined => data?.[0]?.b64_json;
const ways: Readonly<Record<string, Way>> = {
  "audio.transcriptions": {
    model: "whisper-1",
    use: async (openai) => (await openai.audio.transcriptions.create({ model: "whisper-1", file: file("a.wav") })).text,
    expected: "and so my fellow americans",
  },
  "images.generate": {
    model: "painter",
    use: async (openai) => base64Of(await openai.images.generate({ model: "painter", prompt: "a lemon" })),
    expected: painted.toString("base64"),
  },
  "images.edit": {
    model: "painter",
    use: async (openai) =>
      base64Of(await openai.images.edit({ model: "painter", prompt: "greener", image: file("a.png") })),
    expected: painted.toString("base64"),
  },
  "audio.speech": {
    model: "kokoro-v1",
    use: async (openai) => {
      const speech = await openai.audio.speech.create({ model: "kokoro-v1", voice: "alloy", input: "hello" });
      return Buffer.from(await speech.arrayBuffer());
    },
    expected: painted,
  },
};

describe.each(VERSIONS)("lemond %s", (version) => {
  test("openai hears, paints and speaks, and does not notice an eviction", async () => {
    await using service = await startService({ lemond: { version, models }, loaded });
    const openai = connect(service);
    for (const [name, { model, use, expected }] of Object.entries(ways)) {
      expect({ name, got: await use(openai) }).toEqual({ name, got: expected } as never);
      const got = await acrossEviction(service, () => use(openai), model);
      expect({ name, got }).toEqual({ name, got: expected } as never);
    }
  });
});

test("a form's file reaches the model as it was, under lemond's name for a slot", async () => {
  const toml = `[slots.ears]\nmodel = "whisper-1"\naliases = ["gpt-4o-transcribe"]\n`;
  await using service = await startService({ lemond: { models }, loaded, toml });
  const openai = connect(service);
  for (const model of ["ears", "gpt-4o-transcribe", "whisper-1"]) {
    const heard = service.child("whisper-1").received();
    await openai.audio.transcriptions.create({ model, file: file("a.wav"), response_format: "json" });
    const { bodyBytes, headers } = await heard;
    // The parts around it are some hundred bytes.
    expect(bodyBytes).toBeWithin(bytes.length, bytes.length + 1000);
    expect(headers["content-type"]).toStartWith("multipart/form-data; boundary=");
    expect(JSON.stringify(headers)).not.toContain(KEY);
  }
  expect(service.lemond.loads("whisper-1")).toBe(1);
});

test("a WebSocket client speaks with lemond's realtime and hears it write, under a slot's name", async () => {
  await using service = await startService({ lemond: { models }, loaded: [] });
  // The subprotocol is Lemonade's own way to carry a key in a browser.
  const bearer = `bearer.${Buffer.from(KEY).toString("base64url")}`;
  const socket = new WebSocket(`${service.url.replace("http", "ws")}/v1/realtime?model=whisper-1`, [
    "lemonade-realtime",
    bearer,
  ]);
  const heard: string[] = [];
  const closed = new Promise<number>((resolve) => socket.addEventListener("close", ({ code }) => resolve(code)));
  const said = new Promise<void>((resolve, reject) => {
    socket.addEventListener("error", () => reject(new Error("the socket failed")));
    socket.addEventListener("message", ({ data }) => {
      heard.push(JSON.parse(`${data}`).type);
      if (heard.at(-1) === "session.created") {
        const audio = Buffer.from(bytes).toString("base64");
        socket.send(JSON.stringify({ type: "input_audio_buffer.append", audio }));
        socket.send(JSON.stringify({ type: "input_audio_buffer.commit" }));
      }
      if (`${data}`.includes("characters of sound")) resolve();
    });
  });
  await said;
  expect(socket.protocol).toBe("lemonade-realtime");
  expect(heard).toEqual([
    "session.created",
    "input_audio_buffer.committed",
    "conversation.item.input_audio_transcription.completed",
  ]);
  socket.close(4001, "done");
  expect([await closed, await service.lemond.sockets.at(-1)?.closed]).toEqual([4001, 4001]);
  expect(JSON.stringify(service.lemond.sockets) + service.binary.stdout).not.toContain(KEY);
});
