// What install and uninstall are made of: steps that are said, then done, in order, until one fails. A dry run says them only.
import { statSync } from "node:fs";
import { resolve } from "node:path";
import { createPlacing, type Placing, PlacingError } from "./placing.ts";

export interface PlanFlags {
  readonly isDryRun: boolean;
  /** Another root than this machine's; systemd is told nothing there. */
  readonly root: string | null;
}

export type Ran = { readonly code: number; readonly said: string };

export interface HostIo {
  /** The compiled program's own file; null when it runs from source. */
  readonly executable: string | null;
  readonly uid: number;
  /** Where this machine's files begin: "/". */
  readonly systemRoot: string;
  /** Whether systemd runs here. */
  readonly hasSystemd: boolean;
  readonly mostFetches: string;
  /** A command that is not there has code 127. */
  run(command: readonly string[]): Promise<Ran>;
  /** The address at which the network reaches this machine. */
  address(): Promise<string>;
  /** Whether a server answers `/live` there within some seconds. */
  isServing(url: string): Promise<boolean>;
  out(line: string): void;
  err(line: string): void;
}

/** One thing to do, and how a dry run says it. */
export interface Step {
  /** Null: it says by itself what there is to say. */
  readonly said: string | null;
  readonly content?: string;
  /** Null when done, else a line that says why not. */
  act(): Promise<string | null> | string | null;
}

/** What must be so before anything is changed. */
export class RefusedError extends Error {
  override readonly name = "RefusedError";
  /** One line each. */
  readonly faults: readonly string[];
  constructor(faults: readonly string[]) {
    super(faults[0]);
    this.faults = faults;
  }
}

/** Exit code: 0 done, 1 failed, 2 called in a way that cannot work. */
export async function carryOut(
  { isDryRun, root }: PlanFlags,
  io: HostIo,
  needsRoot: string,
  plan: (placing: Placing) => readonly Step[],
): Promise<number> {
  if (root !== null && !(statSync(root, { throwIfNoEntry: false })?.isDirectory() ?? false)) {
    io.err(`--root: ${root} is not a folder`);
    return 2;
  }
  if (root === null && !isDryRun && io.uid !== 0) {
    io.err(`${needsRoot}: run it as root`);
    return 1;
  }
  try {
    for (const { said, content, act } of plan(createPlacing(root === null ? io.systemRoot : resolve(root)))) {
      if (said !== null) io.out(said);
      if (isDryRun && content !== undefined) io.out(content.replace(/^(?=.)/gm, "    ").trimEnd());
      const fault = isDryRun ? null : await act();
      if (fault === null) continue;
      io.err(fault);
      return 1;
    }
    return 0;
  } catch (error) {
    if (!(error instanceof PlacingError || error instanceof RefusedError)) throw error;
    for (const fault of error instanceof RefusedError ? error.faults : [error.message]) io.err(fault);
    return 1;
  }
}

export const said = (line: string): Step => ({ said: line, act: () => null });

export const done = (action: () => void) => () => {
  action();
  return null;
};

export function writeStep(placing: Placing, path: string, mode: number, content: string): Step {
  const saidMode = mode.toString(8).padStart(4, "0");
  const act = done(() => placing.writeText(path, mode, content));
  return { said: `write ${placing.at(path)}, mode ${saidMode}`, content, act };
}

/** `isOptional`: whether it works does not matter. */
export function commandStep(command: readonly string[], io: HostIo, isOptional = false): Step {
  const line = command.map((word) => (/\s/.test(word) ? `'${word}'` : word)).join(" ");
  const act = async (): Promise<string | null> => {
    const { code, said } = await io.run(command);
    return code === 0 || isOptional ? null : `${line} failed: ${said.trim() || `exit ${code}`}`;
  };
  return { said: `run ${line}`, act };
}
