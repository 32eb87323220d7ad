// Every recorded call whose circumstances can be set up is made again here, and the answers are compared field by field.
import { describe, expect, test } from "bun:test";
import { differences } from "./compare.ts";
import { startLemond, type Lemond, type ModelSpec } from "./index.ts";
import { rawRequest, requestText, type RawReply } from "./raw-client.ts";
import { readRecording, type Recorded } from "./recording.ts";

interface Session {
  readonly file: string;
  /** Sets up the state that the calls were made in. */
  readonly first?: (lemond: Lemond) => Promise<unknown>;
  /** A lemond of its own, with these models. */
  readonly models?: readonly ModelSpec[];
}

const catalogue = ["tiny-a", "tiny-b", "tiny-embed", "tiny-rerank", "tiny-slow"].map((id) =>
  id === "tiny-slow" ? { id, maxContextWindow: 32_768 } : { id },
);

/** The recorded sessions, in an order in which each finds the state that it was made in. */
const sessions: readonly Session[] = [
  { file: "01" },
  { file: "02" },
  { file: "03", models: catalogue },
  { file: "04" },
  { file: "06-load-ok" },
  { file: "07" },
  { file: "06-load-already" },
  { file: "08" },
  { file: "09" },
  { file: "10" },
  { file: "11" },
  { file: "12" },
  { file: "13" },
  { file: "14" },
  { file: "15" },
  { file: "16" },
  { file: "17" },
  { file: "18" },
  { file: "20" },
  { file: "21" },
  { file: "22" },
  { file: "24", first: (lemond) => lemond.load("tiny-a") },
  { file: "25", first: (lemond) => lemond.load("tiny-a") },
  { file: "27" },
  { file: "29", first: (lemond) => lemond.load("tiny-a") },
];

/** What the recording's machine did and the simulation does not. */
function isOutside({ target, command, requestBody, port, method }: Recorded, version: string): boolean {
  // Lemonade's own pages and settings, and the child's metrics.
  if (/^\/(internal|metrics)|^\/$/.test(target)) return true;
  // 10.6 throws at a key of no length.
  if (version === "10.6" && command.endsWith("Bearer ")) return true;
  // 10.6 waits 5 s for the body of a POST without a length: as built, but too slow to repeat here.
  if (version === "10.6" && method === "POST" && target === "/v1/unload" && !command.includes(" -d ")) return true;
  return port === 8006 && requestBody === "";
}

/** The two 48 KB prompts over the context were sent from a file that is not recorded. */
function bodyOf({ requestBody, target, command }: Recorded): string {
  if (!requestBody.startsWith("@")) return requestBody;
  const isStream = command.includes("-N");
  expect(target).toBe("/v1/chat/completions");
  return JSON.stringify({ model: "tiny-a", messages: [], stream: isStream, sim: { promptTokens: 48_021 } });
}

async function replay(recorded: Recorded, lemond: Lemond): Promise<RawReply> {
  const body = bodyOf(recorded);
  const child =
    recorded.requestBody.includes("documents") || /8003/.test(String(recorded.port))
      ? "tiny-rr"
      : recorded.port === 8002 && recorded.requestBody !== ""
        ? "tiny-emb"
        : "tiny-a";
  const port = recorded.port === 13_305 ? lemond.port : (lemond.child(child)?.port ?? 0);
  const length = body === "" && recorded.command.includes(" -d ") ? ["Content-Length: 0"] : [];
  return rawRequest(port, requestText(recorded.method, recorded.target, [...recorded.requestHeaders, ...length], body));
}

async function replayAll(lemond: Lemond, { file, first }: Session, calls: readonly Recorded[]) {
  const wrong: string[] = [];
  let compared = 0;
  if (calls.length > 0) await first?.(lemond);
  for (const recorded of calls) {
    // 10.6 had no network to fetch Vulkan from; the load that never ended left nothing loaded.
    if (recorded.requestBody.includes("vulkan") && recorded.status === 0) await lemond.unload("tiny-a");
    if (recorded.status === 0 || isOutside(recorded, lemond.version)) continue;
    const reply = await replay(recorded, lemond);
    compared += 1;
    const isSubset = /\/(props|slots)$/.test(recorded.target);
    const found = differences(recorded, reply, { isSubset });
    if (found.length > 0) wrong.push(`${file} ${recorded.command}\n${found.join("\n")}`);
  }
  return { wrong, compared };
}

for (const version of ["10.6", "11.7"] as const) {
  describe(`lemond ${version}`, () => {
    test("answers the recorded calls as it was recorded, field by field", async () => {
      await using shared = await startLemond({ version, loadMs: 5, unloadMs: 5 });
      const wrong: string[] = [];
      let compared = 0;
      for (const session of sessions) {
        const calls = await readRecording(version, session.file);
        await using own = session.models === undefined ? null : await startLemond({ version, models: session.models });
        const result = await replayAll(own ?? shared, session, calls);
        wrong.push(...result.wrong);
        compared += result.compared;
      }
      expect(wrong.join("\n\n")).toBe("");
      expect(compared).toBeGreaterThan(70);
    });

    test("answers as recorded when the backend cannot start", async () => {
      await using lemond = await startLemond({ version, loadMs: 5 });
      const message = version === "10.6" ? "Fetching executable artifacts is disabled" : "llama-server failed to start";
      const chatMessage = version === "10.6" ? "CURL error: Couldn't resolve host name" : message;
      const wrong: string[] = [];
      for (const file of ["06-load-ok", "11", "12"]) {
        const calls = await readRecording(`${version}-load-fails`, file);
        expect(calls.length).toBeGreaterThan(0);
        lemond.failLoads("tiny-a", 9, file.startsWith("06") ? message : chatMessage);
        wrong.push(...(await replayAll(lemond, { file }, calls)).wrong);
      }
      expect(wrong.join("\n\n")).toBe("");
      expect(lemond.children()).toEqual([]);
    });

    test("wants its key as recorded, and the child wants none", async () => {
      await using lemond = await startLemond({ version, apiKey: "k-reg-123", models: catalogue, loadMs: 5 });
      await lemond.load("tiny-a");
      const calls = await readRecording(version, "50-i-apikey-variants");
      expect(calls.length).toBeGreaterThan(3);
      expect((await replayAll(lemond, { file: "50" }, calls)).wrong.join("\n\n")).toBe("");
      expect((await fetch(`${lemond.url}/live`)).status).toBe(200);
    });
  });
}

test("the comparison sees a missing field, another status, another header and another error text", async () => {
  const [, , load] = [...(await readRecording("11.7", "02")), ...(await readRecording("11.7", "08"))].slice(-3);
  if (load === undefined) throw new Error("no recording");
  const reply: RawReply = { ...load, chunks: [], isComplete: true };
  const differs = (change: Partial<RawReply>): number =>
    differences(load, { ...reply, ...change }, { isSubset: false }).length;
  expect(differs({})).toBe(0);
  expect(differs({ status: 500 })).toBe(1);
  expect(differs({ headers: load.headers.slice(1) })).toBe(1);
  expect(differs({ body: load.body.replace('"param":"model",', "") })).toBe(1);
  expect(differs({ body: load.body.replace("was not found", "was found") })).toBe(1);
  expect(differs({ body: load.body.replace('"model_not_found","message"', '404,"message"') })).toBe(1);
});
