// The rounds: each ask undisturbed, then cut by SIGKILL of its child at random places, then all asks at once under one death.
import { createRandom } from "../chaos/random.ts";
import { startLemond, type LemondOptions } from "../lemond/index.ts";
import { readStream } from "../lemond/speech-steps.ts";
import { startProgram } from "../program.ts";
import { asksOf, streamed, type Ask } from "./asks.ts";
import { judge } from "./shape.ts";

export interface RoundsOptions {
  readonly lemond: LemondOptions;
  /** The GGUF, or nothing of a simulated model. */
  readonly model: string | null;
  readonly cuts: number;
  readonly seed: number;
  /** Of each answer, at most. */
  readonly tokens: number;
  /** Further arguments of the child. */
  readonly args: string;
  readonly say: (line: string) => void;
}

export interface Results {
  readonly cut: number;
  readonly continued: number;
  readonly same: number;
  readonly faults: readonly string[];
  /** How long each stream stood still. */
  readonly gapsMs: readonly number[];
}

const MODEL = "real";

export async function runRounds({
  lemond: options,
  model,
  cuts,
  seed,
  tokens,
  args,
  say,
}: RoundsOptions): Promise<Results> {
  const models = [{ id: MODEL, ...options.models?.[0], ...(model === null ? {} : { checkpoint: model }) }];
  await using lemond = await startLemond({ ...options, models });
  const load = args === "" ? {} : { llamacpp_args: args };
  const asks = asksOf(tokens);
  const loaded = await lemond.load(MODEL, load);
  if (!loaded.ok) throw new Error(`the model was not loaded: ${await loaded.text()}`);
  await using server = await startProgram(configText(lemond.url, load));
  const random = createRandom(seed);
  const wholes = new Map<Ask, string>();
  const results = { cut: 0, continued: 0, same: 0, faults: [] as string[] };

  /** One ask, with its child killed after so many pieces. Null: nobody is. */
  const one = async (ask: Ask, after: number | null, kill: () => void): Promise<void> => {
    const whole = wholes.get(ask) ?? "";
    let isKilled = after === null;
    const text = await streamed(server.url, ask, (pieces) => {
      if (isKilled || after === null || pieces < after) return;
      isKilled = true;
      kill();
    });
    const { isContinued, faults, partsAt } = judge(text, whole, ask);
    results.cut += 1;
    if (isContinued) results.continued += 1;
    if (partsAt === null) results.same += 1;
    results.faults.push(...faults.map((fault) => `${ask.name}, cut after ${after}: ${fault}`));
    const length = readStream(whole).content;
    const where = after === null ? "cut with the others" : `cut after ${after} of ${length.length}`;
    const how = isContinued ? "continued" : "over before its child was";
    const parts = partsAt === null ? "the same text" : `parts at character ${partsAt} of ${length.join("").length}`;
    say(`${ask.name.padEnd(24)} ${where}: ${[how, parts, ...faults].join(", ")}`);
  };

  for (const ask of asks) {
    const beganMs = performance.now();
    const text = await streamed(server.url, ask);
    wholes.set(ask, text);
    const { usage } = readStream(text);
    const took = `${((performance.now() - beganMs) / 1000).toFixed(1)} s`;
    say(`${ask.name.padEnd(24)} undisturbed: ${usage?.completion_tokens} tokens for ${usage?.prompt_tokens}, ${took}`);
  }
  const kill = (): void => void lemond.child(MODEL)?.kill();
  for (let nth = 0; nth < cuts; nth += 1) {
    const ask = asks[nth % asks.length];
    if (ask === undefined) break;
    const pieces = readStream(wholes.get(ask) ?? "").content.length;
    await one(ask, random.int(1, Math.max(1, pieces - 2)), kill);
  }
  // Together the words may differ from the start: numbers of a batch differ in the last bit.
  const most = Math.min(...[...wholes.values()].map((text) => readStream(text).content.length));
  const last = Math.max(1, Math.floor(most / 2));
  await Promise.all(asks.map((ask, nth) => one(ask, nth === 0 ? last : null, kill)));

  const gapsMs = server
    .stdout()
    .split("\n")
    .filter((line) => line.includes('"dispatch.stream_continued"'))
    .map((line) => Number(/"took_ms":(\d+)/.exec(line)?.[1]));
  return { ...results, gapsMs };
}

const configText = (lemondUrl: string, load: { readonly llamacpp_args?: string }): string => `
[lemonade]
url = "${lemondUrl}"
auto_slots = false
[slots.${MODEL}]
model = "${MODEL}"
default = true
load = { ${Object.entries(load)
  .map(([name, value]) => `${name} = ${JSON.stringify(value)}`)
  .join(", ")} }
`;
