// What children that hear, speak and paint answer to lemond. Which words and pictures is nobody's business; their size can be scripted.
import { parseBody, simOf, type Body, type Sim } from "./child-sim.ts";
import * as replies from "./child-replies.ts";
import { fieldOf, partsOf } from "./multipart.ts";

/** The fields of a JSON body, or the small ones of a form. */
export function mediaBody(body: Buffer, contentType: string | undefined): Body | null {
  const parts = partsOf(body, contentType);
  if (parts === undefined) return parseBody(body.toString("utf8"));
  const texts = parts.filter(({ filename }) => filename === undefined).map(({ name }) => [name, fieldOf(parts, name)]);
  const files = parts.filter(({ filename }) => filename !== undefined).map(({ name, bytes }) => [name, bytes.length]);
  const sim = parseBody(fieldOf(parts, "sim") ?? "");
  return { ...Object.fromEntries([...texts, ...files]), ...(sim === null ? {} : { sim }) };
}

export function mediaReply(path: string, body: Body): replies.Reply | undefined {
  const sim = simOf(body);
  switch (path) {
    case "/inference":
      return replies.json(200, { text: sim.text ?? "and so my fellow americans" });
    case "/audio/speech":
      return sound(body, sim);
    case "/images/generations":
    case "/images/edits":
    case "/images/variations":
    case "/images/upscale":
      return replies.json(200, { created: replies.seconds(), data: [{ b64_json: bytesOf(sim).toString("base64") }] });
    case "/classify":
      return replies.json(200, { model: body["model"], results: [{ label: "safe", score: 0.98 }] });
    case "/audio/generations":
      return { status: 200, contentType: "audio/wav", isStream: false, parts: [bytesOf(sim)] };
    case "/3d/generations":
      return { status: 200, contentType: "model/gltf-binary", isStream: false, parts: [bytesOf(sim)] };
    default:
      return undefined;
  }
}

function sound(body: Body, sim: Sim): replies.Reply {
  const isStream = body["stream"] === true || body["stream_format"] === "audio";
  const pieces = isStream ? (sim.tokens ?? 4) : 1;
  const parts = Array.from({ length: pieces }, () => bytesOf(sim));
  return { status: 200, contentType: isStream ? "audio/pcm" : "audio/mpeg", isStream, parts };
}

/** Every byte there is, as often as asked for. */
function bytesOf({ bodyKb = 1 }: Sim): Buffer {
  const bytes = Buffer.alloc(bodyKb * 1024);
  for (let at = 0; at < bytes.length; at += 1) bytes[at] = at & 255;
  return bytes;
}
