// What a lemond that takes connections and never answers costs the slots of another one: chats at two servers in turn, of which
// one knows the mute lemond, too, and has requests waiting for it.
import { startBinary, type Binary } from "../binary.ts";
import { startLemond } from "../lemond/index.ts";
import { startRemote } from "../remote.ts";
import { median } from "./report.ts";

export interface Mute {
  readonly absentP99Ms: number;
  readonly mutedP99Ms: number;
  readonly absentMedianMs: number;
  readonly mutedMedianMs: number;
}

const CHATS = 500;
/** Pairs of so many chats: the machine's moods fall on both. */
const ROUNDS = 9;
const WARM = 2000;
const HELD = 20;

/** Medians of the rounds. Throws where a chat is not answered. */
export async function measureMute(): Promise<Mute> {
  await using lemond = await startLemond();
  await lemond.load("tiny-a");
  await using mute = await startRemote(() => null);
  const here = `[server]\nport = 0\n[lemonade]\nurl = "${lemond.url}"\n[slots.primary]\nmodel = "tiny-a"\n`;
  const there = `[lemonades.attic]\nurl = "${mute.url}"\n[slots.lost]\nmodel = "tiny-b"\nlemonade = "attic"\nhold_s = 600\n`;
  await using absent = await startBinary({ toml: here });
  await using muted = await startBinary({ toml: here + there });
  const leave = new AbortController();
  const held = Array.from({ length: HELD }, () => chat(muted, "lost", leave.signal).catch(() => null));
  await Promise.all([absent, muted].map((server) => times(server, WARM)));
  const rounds = { absent: [] as number[][], muted: [] as number[][] };
  for (let round = 0; round < ROUNDS; round++)
    // Whoever comes first has the colder machine.
    for (const name of round % 2 === 0 ? (["absent", "muted"] as const) : (["muted", "absent"] as const))
      rounds[name].push(await times(name === "absent" ? absent : muted, CHATS));
  leave.abort();
  await Promise.all(held);
  const at = (all: readonly number[][], part: number): number =>
    median(all.map((one) => one[Math.floor(one.length * part)] ?? 0));
  return {
    absentP99Ms: at(rounds.absent, 0.99),
    mutedP99Ms: at(rounds.muted, 0.99),
    absentMedianMs: at(rounds.absent, 0.5),
    mutedMedianMs: at(rounds.muted, 0.5),
  };
}

/** Of so many chats, one after another, in order of size. */
async function times(server: Binary, chats: number): Promise<number[]> {
  const all: number[] = [];
  for (let nth = 0; nth < chats; nth++) {
    const began = performance.now();
    await chat(server, "primary");
    all.push(performance.now() - began);
  }
  return all.toSorted((a, b) => a - b);
}

async function chat({ url }: Binary, model: string, signal?: AbortSignal): Promise<void> {
  const body = JSON.stringify({ model, messages: [{ role: "user", content: "Hello" }], max_tokens: 4 });
  const response = await fetch(`${url}/v1/chat/completions`, { method: "POST", body, ...(signal ? { signal } : {}) });
  await response.arrayBuffer();
  if (response.status !== 200) throw new Error(`a chat was answered ${response.status}`);
}
