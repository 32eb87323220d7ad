// `hal0-dispatch drill`: proves on this machine that a killed model comes back unnoticed. Ends the slot's process three times
// and asks for a chat each time: plain, streaming, and in the middle of a stream. Uses the running server's HTTP API alone.
import { watchProcess } from "../lemonade/process.ts";
import { type Answer, chat, type Watcher } from "./drill-chat.ts";
import {
  createDrillServer,
  DrillError,
  type DrillServer,
  type DrillSlot,
  type Feed,
  type Happening,
} from "./drill-server.ts";

export interface DrillIo {
  out(line: string): void;
  err(line: string): void;
  /** Null where there is nobody to ask. */
  readonly confirm: ((question: string) => boolean) | null;
}

export interface DrillAsked {
  readonly url: string;
  readonly key: string | null;
  /** Null: the default slot, else the only one that is loaded. */
  readonly slot: string | null;
  readonly isYes: boolean;
}

const SHORT = { prompt: "Say hello in one sentence.", maxTokens: 24 };
const LONG = { prompt: "Write the numbers from one to two hundred in words, one a line.", maxTokens: 512 };
const ANSWERED_MS = 3000;
const LOADED_MS = 600_000;
const LOOK_MS = 50;

/** Exit code: 0 if every answer was whole, 1 if not or where it cannot be done, 2 where nobody can be asked. */
export async function runDrill(asked: DrillAsked, io: DrillIo): Promise<number> {
  const headers: Record<string, string> = asked.key === null ? {} : { authorization: `Bearer ${asked.key}` };
  const server = createDrillServer(asked.url, headers);
  try {
    const slot = slotOf(await server.slots(), asked.slot);
    await quiet(server, slot.name);
    const say = (more: typeof SHORT, isStream: boolean, watcher: Watcher | null = null): Promise<Answer> =>
      chat({ url: asked.url, headers, model: slot.name, ...more, isStream }, watcher);
    // The chat that loads a model takes longer than the one that is measured against.
    if (slot.pid === null) await say(SHORT, false);
    const first = await say(SHORT, false);
    if (first.fault !== null) throw new DrillError(`slot ${slot.name} does not answer a chat even now: ${first.fault}`);
    const target = await targetOf(server, slot.name, 0);
    io.out(
      `slot ${slot.name} (${slot.model}) at ${asked.url}: a chat takes ${seconds(first.tookMs)}, process ${target.pid} serves it`,
    );
    if (!asked.isYes) {
      if (io.confirm === null)
        return refuse(io, "there is nobody to ask: --yes ends the model's process without asking");
      if (!io.confirm("Ends that process with SIGKILL three times, and asks for a chat each time. Go on?")) return 1;
    }
    const feed = await server.follow(slot.name);
    try {
      return await threeTimes({ server, slot: slot.name, say, feed, usualMs: first.tookMs, io });
    } finally {
      feed.close();
    }
  } catch (error) {
    if (!(error instanceof DrillError)) throw error;
    io.err(error.message);
    return 1;
  }
}

interface Drill {
  readonly server: DrillServer;
  readonly slot: string;
  readonly feed: Feed;
  readonly usualMs: number;
  readonly io: DrillIo;
  say(more: typeof SHORT, isStream: boolean, watcher?: Watcher): Promise<Answer>;
}

/** A moment of a round that the feed does not tell. */
type Note = (event: string, words: string) => void;

async function threeTimes(drill: Drill): Promise<number> {
  const { say } = drill;
  const before =
    (isStream: boolean) =>
    async (note: Note): Promise<Answer> => {
      await kill(drill, 0, note);
      note("asked", isStream ? "a chat, streamed" : "a chat");
      return say(SHORT, isStream);
    };
  const faults = [
    await round(drill, "1. The process is ended, then a chat is asked for", before(false)),
    await round(drill, "2. The process is ended, then a streaming chat is asked for", before(true)),
    await round(drill, "3. The process is ended in the middle of a stream", (note) => inMidStream(drill, note)),
  ].filter((fault) => fault !== null);
  drill.io.out("");
  drill.io.out(
    faults.length === 0
      ? "Every answer was whole: the model was ended three times, and nobody would have noticed."
      : `${faults.length} of 3 answers ${faults.length === 1 ? "was" : "were"} not whole.`,
  );
  return faults.length === 0 ? 0 : 1;
}

async function inMidStream(drill: Drill, note: Note): Promise<Answer> {
  let isKilled = false;
  const onText = async (): Promise<void> => {
    await kill(drill, 1, note);
    isKilled = true;
  };
  const onSeam = (): void => note("dispatch.stream_continued", "the rest comes from the new process");
  note("asked", "a long chat, streamed");
  const answer = await drill.say(LONG, true, { onText, onSeam });
  if (answer.fault !== null || isKilled) return answer;
  return { ...answer, fault: "no text came before which it could have been cut" };
}

/** Null where the answer was whole, else what was wrong. */
async function round(
  { server, slot, feed, usualMs, io }: Drill,
  title: string,
  act: (note: Note) => Promise<Answer>,
): Promise<string | null> {
  await quiet(server, slot);
  const from = feed.happenings.length;
  const began = Date.now();
  const own: Happening[] = [];
  const note: Note = (event, words) => void own.push({ atMs: Date.now(), event, words, state: null });
  const { fault, repair, tookMs } = await act(note);
  note(
    "answered",
    `${fault === null ? "whole" : `not whole: ${fault}`}${repair === null ? "" : `, x-hal0-repair: ${repair}`}`,
  );
  // After a broken stream, the repair may still run.
  await quiet(server, slot);
  const happened = [...own, ...feed.happenings.slice(from)].toSorted((a, b) => a.atMs - b.atMs);
  io.out(`\n${title}`);
  for (const { atMs, event, words } of happened)
    io.out(`  ${seconds(atMs - began).padStart(8)}  ${event.padEnd(28)} ${words}`);
  const lemondMs = reloadOf(happened);
  if (lemondMs !== null)
    io.out(
      `  lemond took ${seconds(lemondMs)}; the answer took ${seconds(Math.max(0, tookMs - lemondMs - usualMs))} more than that and an undisturbed chat`,
    );
  return fault;
}

/** From the loss of the process until the new one is ready; null where the slot never left that state. */
function reloadOf(happened: readonly Happening[]): number | null {
  const lost = happened.find(({ state }) => state === "offline" || state === "starting");
  const back = happened.findLast(({ state }) => state === "ready");
  return lost && back && back.atMs >= lost.atMs ? back.atMs - lost.atMs : null;
}

async function kill(drill: Drill, ownRequests: number, note: Note): Promise<void> {
  const { pid, port } = await targetOf(drill.server, drill.slot, ownRequests);
  note("kill -9", `${pid}, on port ${port}`);
  process.kill(pid, "SIGKILL");
}

/** The slot's process, when it can be ended: visible from here, one that we may end, and without another client's request. */
async function targetOf(
  server: DrillServer,
  name: string,
  ownRequests: number,
): Promise<{ pid: number; port: number }> {
  const slot = slotOf(await server.slots(), name);
  const others = slot.in_flight + slot.waiting - ownRequests;
  if (others > 0) throw new DrillError(othersIn(name, others));
  const { pid, url } = slot;
  const port = Number(new URL(url ?? "http://nowhere:0").port);
  const process = pid === null ? null : watchProcess(pid, port);
  process?.close();
  if (pid === null || process === null)
    throw new DrillError(
      `the process of slot ${name} cannot be seen from here: run this where lemond runs, in the same container`,
    );
  if (!mayEnd(pid)) throw new DrillError(`process ${pid} of slot ${name} is another user's: run this as root`);
  return { pid, port };
}

function mayEnd(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false; // EPERM. A process that is gone was noticed above.
  }
}

/** The server counts our answered request a moment longer, and a repair after it may still be under way. */
async function quiet(server: DrillServer, name: string): Promise<void> {
  const began = performance.now();
  for (;;) {
    const { state, in_flight, waiting } = slotOf(await server.slots(), name);
    const requests = in_flight + waiting;
    const isLoading = state === "starting" || state === "warming";
    if (requests === 0 && !isLoading) return;
    const waitedMs = performance.now() - began;
    if (requests > 0 && waitedMs > ANSWERED_MS) throw new DrillError(othersIn(name, requests));
    if (waitedMs > LOADED_MS) throw new DrillError(`slot ${name} is ${state} for ten minutes already`);
    await Bun.sleep(LOOK_MS);
  }
}

const othersIn = (name: string, count: number): string =>
  `slot ${name} has ${count === 1 ? "another request" : `${count} other requests`} in flight, which a drill would cut: not now`;

function slotOf(slots: readonly DrillSlot[], name: string | null): DrillSlot {
  const loaded = slots.filter(({ pid }) => pid !== null);
  const found =
    name === null
      ? (slots.find((slot) => slot.default) ?? (loaded.length === 1 ? loaded[0] : undefined))
      : slots.find((slot) => slot.name === name);
  if (found) return found;
  const names = slots.map((slot) => slot.name).join(", ") || "none";
  throw new DrillError(
    name === null ? `which slot? There are: ${names}` : `there is no slot ${name}; there are: ${names}`,
  );
}

function refuse(io: DrillIo, why: string): 2 {
  io.err(why);
  return 2;
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;
