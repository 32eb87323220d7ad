// `hal0-dispatch doctor`: looks, judges, prints. Changes nothing; a serious finding is exit code 1.
import type { Flags } from "../cli/args.ts";
import { loadConfig } from "../config/config.ts";
import { serviceEnvironment } from "../config/environment.ts";
import { examine } from "./examine.ts";
import { attemptRead, type Files } from "../config/files.ts";
import { type Finding, findings } from "./findings.ts";
import { UNIT } from "./layout.ts";
import { ownHosts } from "../config/machine.ts";
import type { Env } from "../config/secrets.ts";

export interface DoctorIo extends Files {
  isOpenToAll(path: string): boolean;
  readonly env: Env;
  readonly version: string;
  out(text: string): void;
}

/** Exit code: 0, or 1 if a finding is serious. */
export async function runDoctor(asked: { flags: Flags; isJson: boolean }, io: DoctorIo): Promise<number> {
  const found = await examined(asked.flags, io);
  const isSerious = found.some(({ level }) => level === "serious");
  io.out(asked.isJson ? `${JSON.stringify(found, null, 2)}\n` : printed(found));
  return isSerious ? 1 : 0;
}

async function examined(flags: Flags, io: DoctorIo): Promise<Finding[]> {
  const notes: Finding[] = [];
  const service = serviceEnvironment(io.readFile);
  if (service.fault !== null) notes.push({ level: "warning", what: service.fault, advice: "run doctor as root" });

  const { listFolder } = io;
  const read: string[] = [];
  const readFile = (path: string): string => {
    const text = io.readFile(path);
    read.push(path);
    return text;
  };
  const loaded = loadConfig({ readFile, listFolder, ownHosts, args: flags, env: { ...service.env, ...io.env } });
  if (!loaded.ok) {
    const advice = "mend it; hal0-dispatch --check tells whether it is right";
    return [...notes, ...loaded.faults.map((what): Finding => ({ level: "serious", what, advice }))];
  }
  const from = loaded.source ?? "the defaults, since there is no file";
  notes.push({ level: "ok", what: `the configuration is right: ${from}`, advice: null });
  for (const what of loaded.notes) notes.push({ level: "warning", what, advice: "nothing, if that is meant" });
  // Root reads everything; the service has a user without rights of its own.
  const closed = attemptRead(() => io.readFile(UNIT)).ok ? read.filter((path) => !io.isOpenToAll(path)) : [];
  for (const path of closed)
    notes.push({
      level: "warning",
      what: `${path} cannot be read by every user, and the service's has no rights of its own`,
      advice: "chmod o+r, and o+x its folders; if it holds keys: systemctl edit hal0-dispatch, SupplementaryGroups=",
    });
  return [...notes, ...findings(await examine(loaded.config, io.version))];
}

function printed(found: readonly Finding[]): string {
  const lines = found.flatMap(({ level, what, advice }) => [
    `${level.padEnd(8)} ${what}`,
    ...(advice === null ? [] : [`         → ${advice}`]),
  ]);
  const count = (level: Finding["level"]): number => found.filter((finding) => finding.level === level).length;
  const sum = `${count("serious")} serious, ${count("warning")} to look at, ${count("ok")} well`;
  return `${lines.join("\n")}\n\n${sum}\n`;
}
