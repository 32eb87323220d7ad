// `bun run bench [--out FILE] [--rounds N] [--seconds N] [--against NAME=URL --child-port N]`: what the way through this server
// costs, against the child alone, a bare pass-through of the same platform, HAProxy and nginx. Starts everything itself;
// prints tables, writes JSON to FILE. A server of --against must have its model at the child's port.
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { measureContinued } from "./bench/continued.ts";
import { load, type Load, once, requestBody, rssMb } from "./bench/load.ts";
import { measureMemory } from "./bench/memory.ts";
import { measureMute } from "./bench/mute.ts";
import { measureRecovery } from "./bench/recovery.ts";
import { median, round, table } from "./bench/report.ts";
import { measureStart } from "./bench/start.ts";
import { BARE, startTargets, type Target } from "./bench/targets.ts";
import { builtExecutable } from "./binary.ts";
import { needDebian } from "./need.ts";

const { values } = parseArgs({
  options: {
    out: { type: "string" },
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "2" },
    against: { type: "string", multiple: true, default: [] },
    "child-port": { type: "string", default: "0" },
  },
});
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);
if (!(rounds >= 1 && seconds >= 1)) throw new Error("--rounds and --seconds take a number from 1");

const CONNECTIONS = [1, 16, 64, 256];
/** JavaScript reaches its speed after some thousand requests: what is measured is a server that has been up for a while. */
const WARM_SECONDS = 6;

const say = (text = ""): void => void process.stdout.write(`${text}\n`);
const wrk = await needDebian("wrk", "wrk", true);
if (wrk === null) process.exit(1);
const binary = await builtExecutable();
const notes: string[] = [];

const machine = `${cpus()[0]?.model ?? "unknown CPU"}, ${cpus().length} cores, Bun ${Bun.version}, ${new Date().toISOString().slice(0, 10)}`;
say(`${machine}; medians of ${rounds} rounds of ${seconds} s`);

const start = await measureStart(binary);

const against = values.against.map((text) => {
  const [, name = "", origin = ""] = /^([^=]+)=(http:\/\/[^/]+)\/?$/.exec(text) ?? [];
  if (origin === "") throw new Error(`--against ${text}: expected NAME=http://HOST:PORT`);
  return { name, origin };
});
const childPort = Number(values["child-port"]);
await using targets = await startTargets(binary, { childPort, against }, (note) => notes.push(note));
const own = targets.all.find(({ name }) => name === "hal0-dispatch");
if (!own) throw new Error("the server is not among the targets");
const restMb = rssMb(own.pid);

for (const isStream of [false, true])
  for (const target of targets.all) await load(wrk, target, isStream, 64, WARM_SECONDS);

interface Row {
  readonly kind: "plain" | "stream";
  readonly connections: number;
  readonly target: string;
  readonly load: Load;
}
const rows: Row[] = [];
for (const isStream of [false, true])
  for (const connections of CONNECTIONS) {
    const runs = new Map<Target, Load[]>(targets.all.map((target) => [target, []]));
    // In turn, so that a machine whose speed drifts is the same for all.
    for (let at = 0; at < rounds; at++)
      for (const [target, loads] of runs) loads.push(await load(wrk, target, isStream, connections, seconds));
    for (const [target, loads] of runs)
      rows.push({ kind: isStream ? "stream" : "plain", connections, target: target.name, load: middle(loads) });
    say();
    say(`${isStream ? "streams of 64 tokens" : "plain chats"}, ${connections} connections`);
    say(
      table(
        ["", "requests/s", `of ${BARE}`, "p50 ms", "p99 ms", "CPU µs", "errors"],
        shown(isStream ? "stream" : "plain", connections),
      ),
    );
  }

const singles: { name: string; target: string; medianMs: number }[] = [];
for (const [name, body, count] of [
  ["first byte of a stream", requestBody(true), 100],
  ["whole plain chat", requestBody(false), 100],
  ["request of 1 MB", requestBody(false, 1024 ** 2), 20],
  ["request of 20 MB", requestBody(false, 20 * 1024 ** 2), 8],
] as const)
  for (const target of targets.all) {
    const times: number[] = [];
    for (let at = 0; at < count; at++) {
      const { firstMs, wholeMs } = await once(target, body);
      times.push(name.startsWith("first") ? firstMs : wholeMs);
    }
    singles.push({ name, target: target.name, medianMs: round(median(times), 3) });
  }
say();
say("one request at a time, each on a new connection, median ms");
say(
  table(
    ["", ...targets.all.map(({ name }) => name)],
    [...new Set(singles.map(({ name }) => name))].map((name) => [
      name,
      ...singles.filter((single) => single.name === name).map(({ medianMs }) => round(medianMs, 2)),
    ]),
  ),
);

const streams256Mb =
  rows.find(({ target, kind, connections }) => target === own.name && kind === "stream" && connections === 256)?.load
    .peakRssMb ?? 0;
const large = await measureMemory(own);
const memory = { restMb, streams256Mb, ...large };
const recovery = await measureRecovery();
say();
say(`RSS: ${round(restMb)} MB at rest, ${round(streams256Mb)} MB at 256 streams;`);
const { beforeMb, highestMb, afterMb } = large;
say(
  `  with 500 requests of 20 MB: ${round(beforeMb)} before, ${round(highestMb)} at most, ${round(afterMb)} a minute after`,
);
say(`start to first answer: ${round(start.ownMs)} ms; ${BARE}, compiled alike: ${round(start.bareMs)} ms`);
say();
say("recovery of a dead slot, ms");
say(
  table(
    ["lemond", "waiting", "to the last answer", "lemond alone", "added"],
    recovery.map((one) => [one.generation, one.waiting, round(one.totalMs), round(one.lemondMs), round(one.addedMs)]),
  ),
);
const continued = await measureContinued();
say();
say(
  `64 streams cut by one death: ${round(continued.totalMs)} ms to the last byte, with ${round(continued.loadMs)} ms of load and ${round(continued.restMs)} ms of answer; added ${round(continued.addedMs)} ms`,
);
const mute = await measureMute();
say();
say("chats beside a second lemond that never answers, ms");
say(
  table(
    ["second lemond", "p50", "p99"],
    [
      ["absent", round(mute.absentMedianMs, 2), round(mute.absentP99Ms, 2)],
      ["mute", round(mute.mutedMedianMs, 2), round(mute.mutedP99Ms, 2)],
    ],
  ),
);
for (const note of notes) say(`note: ${note}`);

if (values.out !== undefined) {
  await Bun.write(
    values.out,
    `${JSON.stringify({ machine, rounds, seconds, rows, singles, memory, start, recovery, continued, mute, notes }, null, 2)}\n`,
  );
  say(`written to ${values.out}`);
}

/** Each figure's own median. */
function middle(loads: readonly Load[]): Load {
  const of = (figure: keyof Load): number => median(loads.map((load) => load[figure]));
  return {
    perSecond: of("perSecond"),
    medianMs: of("medianMs"),
    p99Ms: of("p99Ms"),
    cpuUs: of("cpuUs"),
    peakRssMb: Math.max(...loads.map((load) => load.peakRssMb)),
    errors: loads.reduce((sum, load) => sum + load.errors, 0),
  };
}

function shown(kind: Row["kind"], connections: number): (string | number)[][] {
  const here = rows.filter((row) => row.kind === kind && row.connections === connections);
  const floor = here.find((row) => row.target === BARE)?.load.perSecond;
  return here.map(({ target, load }) => [
    target,
    round(load.perSecond),
    floor === undefined ? "–" : (load.perSecond / floor).toFixed(2),
    round(load.medianMs, 2),
    round(load.p99Ms, 1),
    round(load.cpuUs),
    load.errors,
  ]);
}
