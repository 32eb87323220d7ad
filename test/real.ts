// `bun run real -- --server PATH --model PATH [--cuts N] [--seed N] [--tokens N] [--lemond 10.6|11.7]
// [--args="-t 1"]`: streams of a real llama-server, each cut by kill -9 in the middle. Exit code 1 where the shape of one is
// wrong. Lemonade itself is simulated.
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { runRounds } from "./real/rounds.ts";

const { values } = parseArgs({
  options: {
    server: { type: "string" },
    /** A GGUF. */
    model: { type: "string" },
    cuts: { type: "string", default: "20" },
    seed: { type: "string", default: "1" },
    /** Of each answer, at most. */
    tokens: { type: "string", default: "160" },
    /** Further arguments of llama-server. */
    args: { type: "string", default: "" },
    /** The generation that is simulated. */
    lemond: { type: "string", default: "11.7" },
  },
});

function refuse(why: string): never {
  process.stderr.write(`real: ${why}\n`);
  process.exit(2);
}

function pathOf(name: "server" | "model"): string {
  const path = resolve(values[name] ?? refuse(`--${name} PATH is needed`));
  return existsSync(path) ? path : refuse(`--${name} ${path}: no such file`);
}

function whole(name: "cuts" | "seed" | "tokens"): number {
  const number = Number(values[name]);
  return Number.isSafeInteger(number) && number > 0 ? number : refuse(`--${name}: expected a whole number from 1`);
}

const version = values.lemond;
if (version !== "10.6" && version !== "11.7") refuse("--lemond: expected 10.6 or 11.7");
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1));

const [llamaServer, model] = [pathOf("server"), pathOf("model")];
const { cut, continued, same, faults, gapsMs } = await runRounds({
  lemond: { version, llamaServer },
  model,
  cuts: whole("cuts"),
  seed: whole("seed"),
  tokens: whole("tokens"),
  args: values.args,
  say: (line) => void process.stdout.write(`${line}\n`),
});
const sorted = gapsMs.toSorted((a, b) => a - b);
const gaps = `stood still for ${sorted[sorted.length >> 1]} ms (median), ${sorted.at(-1)} ms at most`;
process.stdout.write(
  `\n${cut} streams, ${continued} continued, ${same} with the text of the undisturbed one; ${gaps}\n` +
    `${faults.length} faults of shape\n${faults.map((fault) => `  ${fault}\n`).join("")}`,
);
process.exit(faults.length > 0 ? 1 : 0);
