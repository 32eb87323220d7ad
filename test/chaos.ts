// `bun run chaos [--seed N] [--requests N] [--seeds N] [--jobs N] [--binary PATH] [--log PATH]`: the fault campaign.
// Exit code 1 on any violation.
import { parseArgs } from "node:util";
import { runCampaign } from "./chaos/campaign.ts";
import { reportText } from "./chaos/report.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    /** Seeds in a row, from `seed` on; the requests are shared out among them. */
    seeds: { type: "string", default: "1" },
    requests: { type: "string", default: "2000" },
    /** Campaigns side by side, each with its share of the seeds and a server of its own. */
    jobs: { type: "string", default: "1" },
    binary: { type: "string" },
    /** Where the server's log goes. */
    log: { type: "string" },
  },
});

function whole(name: "seed" | "seeds" | "requests" | "jobs"): number {
  const number = Number(values[name]);
  if (Number.isSafeInteger(number) && number > 0) return number;
  process.stderr.write(`chaos: --${name} ${values[name]}: expected a whole number from 1\n`);
  process.exit(2);
}

const jobs = Math.min(whole("jobs"), whole("seeds"));
if (jobs > 1) {
  const seeds = Math.ceil(whole("seeds") / jobs);
  const requests = Math.ceil(whole("requests") / jobs);
  const lanes = Array.from({ length: jobs }, (_, nth) => {
    const own = { seed: whole("seed") + nth * seeds, seeds, requests, binary: values.binary };
    const log = values.log === undefined ? undefined : `${values.log}.${nth + 1}`;
    const options = Object.entries({ ...own, log }).filter(([, value]) => value !== undefined);
    const args = options.flatMap(([name, value]) => [`--${name}`, String(value)]);
    return Bun.spawn([process.execPath, import.meta.path, ...args], { stdout: "inherit", stderr: "inherit" });
  });
  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.on(signal, () => {
      for (const lane of lanes) lane.kill(signal);
    });
  const codes = await Promise.all(lanes.map((lane) => lane.exited));
  process.exit(Math.max(...codes));
}

const log = values.log === undefined ? null : Bun.file(values.log).writer();
const first = whole("seed");
const seeds = Array.from({ length: whole("seeds") }, (_, nth) => first + nth);
/** An epoch takes seconds: a campaign that is stuck says so instead of standing still. */
const STUCK_MS = 180_000;
const stuck = (): never => {
  process.stderr.write(`chaos: no progress for ${STUCK_MS / 1000} s\n`);
  process.exit(1);
};
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1));
let watchdog = setTimeout(stuck, STUCK_MS);

const { totals, footprints, durationS } = await runCampaign({
  seeds,
  requests: Math.ceil(whole("requests") / seeds.length),
  binary: values.binary ?? null,
  onLine: (line) => void log?.write(`${line}\n`),
  onProgress: (text) => {
    clearTimeout(watchdog);
    watchdog = setTimeout(stuck, STUCK_MS);
    process.stderr.write(`${process.stderr.isTTY ? "\r" : ""}${text}${process.stderr.isTTY ? "" : "\n"}`);
  },
});
clearTimeout(watchdog);
process.stdout.write(`\n${reportText(totals, footprints, durationS)}`);
await log?.end();
process.exit(totals.violations.length > 0 ? 1 : 0);
