// Sound, pictures and labels through lemond: forms and JSON in, JSON and bytes out.
import { describe, expect, test } from "bun:test";
import { startLemond, type Lemond, type ModelSpec } from "./index.ts";
import { childOf, loaded } from "./steps.ts";

const models: readonly ModelSpec[] = [
  { id: "Whisper-Tiny", recipe: "whispercpp", type: "transcription" },
  { id: "kokoro-v1", recipe: "kokoro", type: "tts" },
  { id: "SD-Turbo", recipe: "sd-cpp", type: "image" },
  { id: "guard", recipe: "onnxruntime", type: "classification" },
  { id: "song", recipe: "acestep", type: "tts" },
  { id: "mesh", recipe: "trellis", type: "image" },
  { id: "tiny-a" },
];

const form = (model: string, bytes: number, more: Readonly<Record<string, string>> = {}): FormData => {
  const data = new FormData();
  data.append("file", new Blob([new Uint8Array(bytes)]), "speech.wav");
  for (const [name, value] of Object.entries({ model, ...more })) data.append(name, value);
  return data;
};

const post = (lemond: Lemond, path: string, body: FormData | object): Promise<Response> =>
  fetch(`${lemond.url}${path}`, {
    method: "POST",
    body: body instanceof FormData ? body : JSON.stringify(body),
    keepalive: false,
  });

interface Answered {
  readonly error?: { readonly code?: string; readonly type?: string };
  readonly data?: readonly { readonly b64_json: string }[];
  readonly results?: readonly { readonly label: string }[];
  readonly tokens?: readonly unknown[];
}

const answered = async (reply: Response): Promise<Answered> => (await reply.json()) as Answered;

describe("a transcription", () => {
  test("goes to the route of whisper's server, part for part, and comes back as JSON", async () => {
    await using lemond = await startLemond({ models });
    const sim = JSON.stringify({ text: "lemon" });
    const reply = await post(lemond, "/v1/audio/transcriptions", form("Whisper-Tiny", 3_000_000, { sim }));
    expect([reply.status, await reply.json()]).toEqual([200, { text: "lemon" }]);
    const [request] = childOf(lemond, "Whisper-Tiny").requests;
    expect([request?.path, request?.bodySha256]).toEqual(["/inference", lemond.calls[0]?.bodySha256 ?? ""]);
    expect(lemond.calls[0]).toMatchObject({ body: null, status: 200 });
  });

  test("without a file or a model is 400, of an unknown model 404", async () => {
    await using lemond = await startLemond({ models });
    const path = "/v1/audio/transcriptions";
    const empty = new FormData();
    empty.append("model", "Whisper-Tiny");
    expect((await post(lemond, path, empty)).status).toBe(400);
    expect((await post(lemond, path, form("", 1))).status).toBe(400);
    expect((await post(lemond, path, form("nobody", 1))).status).toBe(404);
    expect(lemond.loads()).toBe(0);
  });
});

describe("speech", () => {
  test("is bytes, whole or as they come", async () => {
    await using lemond = await startLemond({ models });
    const asked = { model: "kokoro-v1", input: "Lemonade", sim: { bodyKb: 3, tokens: 5, tokenMs: 20 } };
    const whole = await post(lemond, "/v1/audio/speech", asked);
    expect([whole.headers.get("content-type"), (await whole.bytes()).length]).toEqual(["audio/mpeg", 3 * 1024]);
    const stream = await post(lemond, "/v1/audio/speech", { ...asked, stream: true });
    expect(stream.headers.get("content-type")).toBe("audio/pcm");
    expect((await stream.bytes()).length).toBe(5 * 3 * 1024);
  });

  test("of a model that does not speak is refused before anything is loaded", async () => {
    await using lemond = await startLemond({ models });
    const reply = await post(lemond, "/v1/audio/speech", { model: "tiny-a", input: "x" });
    expect([reply.status, (await answered(reply)).error?.code]).toEqual([400, "model_not_applicable"]);
    expect(lemond.loads()).toBe(0);
  });

  test("that breaks off ends as one that is over", async () => {
    await using lemond = await startLemond({ models });
    const sim = { bodyKb: 1, tokens: 50, tokenMs: 20 };
    await loaded(lemond, "kokoro-v1");
    const reply = await post(lemond, "/v1/audio/speech", { model: "kokoro-v1", input: "x", stream: true, sim });
    const reader = reply.body?.getReader();
    await reader?.read();
    await childOf(lemond, "kokoro-v1").kill();
    while ((await reader?.read())?.done === false);
    expect(lemond.loads()).toBe(1);
  });
});

test("pictures come as base64, sounds and meshes as bytes, labels as JSON", async () => {
  await using lemond = await startLemond({ models, maxModels: -1 });
  const sim = { bodyKb: 2 };
  for (const path of ["/v1/images/generations", "/v1/images/edits", "/v1/images/variations", "/v1/images/upscale"]) {
    const asked = path.endsWith("generations") ? { model: "SD-Turbo", prompt: "x", sim } : undefined;
    const reply = await post(lemond, path, asked ?? form("SD-Turbo", 10, { sim: JSON.stringify(sim) }));
    const [image] = (await answered(reply)).data ?? [];
    expect([path, Buffer.from(image?.b64_json ?? "", "base64").length]).toEqual([path, 2048]);
  }
  const sound = await post(lemond, "/v1/audio/generations", { model: "song", prompt: "x", sim });
  expect([sound.headers.get("content-type"), (await sound.bytes()).length]).toEqual(["audio/wav", 2048]);
  const mesh = await post(lemond, "/v1/3d/generations", { model: "mesh", prompt: "x", sim });
  expect([mesh.headers.get("content-type"), (await mesh.bytes()).length]).toEqual(["model/gltf-binary", 2048]);
  const label = await post(lemond, "/v1/classify", { model: "guard", input: "x" });
  expect((await answered(label)).results?.[0]?.label).toBe("safe");
});

test("a lost child is repaired by 11.7 and reported by 10.6, with 500 for pictures", async () => {
  for (const version of ["10.6", "11.7"] as const) {
    await using lemond = await startLemond({ version, models, deathNoticeMs: 300 });
    await (await loaded(lemond, "SD-Turbo")).kill();
    const reply = await post(lemond, "/v1/images/generations", { model: "SD-Turbo", prompt: "x" });
    expect([reply.status, (await answered(reply)).error?.type]).toEqual(
      version === "10.6" ? [500, "network_error"] : [200, undefined],
    );
  }
});

test("a painter that is evicted before it paints is 500, where others are 404", async () => {
  await using lemond = await startLemond({ models: [...models, { id: "SD-2", recipe: "sd-cpp", type: "image" }] });
  const latch = lemond.holdLoads();
  const painting = post(lemond, "/v1/images/generations", { model: "SD-Turbo", prompt: "x" });
  await lemond.receivedAny("/v1/images/generations");
  const other = lemond.load("SD-2");
  await lemond.receivedAny("/v1/load");
  latch.release();
  const reply = await painting;
  expect([reply.status, (await answered(reply)).error?.type]).toEqual([500, "model_not_loaded"]);
  expect((await other).status).toBe(200);
});

test("tokenize asks the model that was used last, whatever is named, and nobody where none is", async () => {
  await using lemond = await startLemond({ models });
  const asked = { model: "kokoro-v1", content: "Red" };
  expect((await post(lemond, "/v1/tokenize", asked)).status).toBe(404);
  await loaded(lemond, "tiny-a");
  expect((await answered(await post(lemond, "/v1/tokenize", asked))).tokens?.length).toBe(1);
  expect(lemond.listed()).toEqual(["tiny-a"]);
});
