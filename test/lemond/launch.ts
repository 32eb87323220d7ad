// Starting the child of one model: on the first port that can be bound, until it is warm. Who is evicted for it is the fleet's.
import { cloudChild } from "./cloud.ts";
import { startChild, type ChildProcess } from "./process.ts";
import { launchCommandOf, type Options } from "./load-options.ts";
import type { Ports } from "./ports.ts";
import { startRealChild } from "./real-child.ts";
import type { Spec } from "./model-spec.ts";

export interface LaunchSettings {
  readonly ports: Ports;
  readonly warmMs: number;
  readonly pingMs: number;
  readonly idleMs: number;
  readonly closeMs: number;
  readonly endsAtTerm: () => boolean;
  readonly answerLoadEarly: boolean;
  readonly llamaServer: string | readonly string[] | undefined;
  readonly loadMs: () => number;
  readonly onChild: (child: ChildProcess) => void;
}

export interface Launched {
  readonly child: ChildProcess;
  readonly launchCommand: readonly string[];
}

/** Undefined: it did not start, or ended before it was ready. */
export async function launch(settings: LaunchSettings, spec: Spec, options: Options): Promise<Launched | undefined> {
  if (spec.recipe === "cloud") return { child: cloudChild(spec.id, spec.checkpoint), launchCommand: [] };
  const took = Bun.sleep(settings.loadMs());
  const launched = await start(settings, spec, options);
  if (launched === undefined) return undefined;
  const warm = settings.answerLoadEarly ? 0 : settings.warmMs;
  await Promise.race([Promise.all([took, Bun.sleep(warm)]), launched.child.exited]);
  return launched.child.isAlive ? launched : undefined;
}

async function start(settings: LaunchSettings, spec: Spec, asked: Options): Promise<Launched | undefined> {
  const { id: model, checkpoint, type, recipe, chat } = spec;
  const { warmMs, pingMs, idleMs, closeMs } = settings;
  const ctxSize = typeof asked["ctx_size"] === "number" ? asked["ctx_size"] : 4096;
  const endsAtTerm = settings.endsAtTerm();
  const child = { model, checkpoint, type, recipe, chat, ctxSize, warmMs, pingMs, idleMs, closeMs, endsAtTerm };
  let port: number | undefined;
  for (let tries = 0; tries < 20; tries += 1) {
    port = settings.ports.next(port);
    const launchCommand = launchCommandOf(spec, asked, port);
    const options = { ...child, port, launchCommand };
    const { llamaServer } = settings;
    const process = llamaServer === undefined ? startChild(options) : startRealChild(llamaServer, options);
    settings.onChild(process);
    const started = await process.started;
    if (started === "port-taken") continue;
    return started === "failed" ? undefined : { child: process, launchCommand };
  }
  return undefined;
}
