// `hal0-dispatch doctor`: looks, judges, prints. Changes nothing; a serious finding is exit code 1.
import type { Flags } from "../cli/args.ts";
import { loadConfig } from "../config/config.ts";
import { serviceEnvironment } from "../config/environment.ts";
import { examine } from "./examine.ts";
import { attemptRead, type Files } from "../config/files.ts";
import { type Finding, ok, serious, warning } from "./finding.ts";
import { findings } from "./findings.ts";
import { findUser, UNIT, USER, USERS } from "./layout.ts";
import { readShow, serviceFindings, SHOW } from "./service.ts";
import type { Ran } from "./steps.ts";
import { ownHosts } from "../config/machine.ts";
import type { Env } from "../config/secrets.ts";

export interface DoctorIo extends Files {
  /** Whether that user can read the file; null is a user without rights of its own. */
  canRead(path: string, user: { readonly uid: number; readonly gid: number } | null): boolean;
  readonly env: Env;
  readonly version: string;
  readonly hasSystemd: boolean;
  run(command: readonly string[]): Promise<Ran>;
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
  const isInstalled = attemptRead(() => io.readFile(UNIT)).ok;
  const notes: Finding[] = isInstalled ? await aboutService(io) : [];
  const service = serviceEnvironment(io.readFile);
  if (service.fault !== null) notes.push(warning(service.fault, "run doctor as root"));

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
    return [...notes, ...loaded.faults.map((what) => serious(what, advice))];
  }
  notes.push(ok(`the configuration is right: ${loaded.source ?? "the defaults, since there is no file"}`));
  for (const what of loaded.notes) notes.push(warning(what, "nothing, if that is meant"));
  if (isInstalled) notes.push(...aboutFiles(read, io));
  return [...notes, ...findings(await examine(loaded.config, io.version))];
}

async function aboutService({ hasSystemd, run }: DoctorIo): Promise<Finding[]> {
  if (!hasSystemd)
    return [warning("the service is installed and systemd does not run here", "start hal0-dispatch some other way")];
  const { code, said } = await run(SHOW);
  if (code === 0) return serviceFindings(readShow(said));
  return [warning(`systemd does not say how the service is: ${said.trim()}`, "run doctor as root")];
}

/** Root reads everything; the service is another user. */
function aboutFiles(read: readonly string[], { readFile, canRead }: DoctorIo): Finding[] {
  const users = attemptRead(() => readFile(USERS));
  const user = users.ok ? findUser(users.value) : null;
  return read
    .filter((path) => !canRead(path, user))
    .map((path) =>
      warning(
        `${path} cannot be read by ${USER}, the user of the service`,
        `chgrp ${USER} ${path} && chmod g+r ${path}; its folders need o+x`,
      ),
    );
}

function printed(found: readonly Finding[]): string {
  const lines = found.flatMap(({ level, what, advice }) => [
    `${level.padEnd(8)} ${what}`,
    ...(advice === null ? [] : [`         → ${advice}`]),
  ]);
  const count = (level: Finding["level"]): number => found.filter((finding) => finding.level === level).length;
  const sum = `${count("serious")} serious, ${count("warning")} warnings, ${count("ok")} ok`;
  return `${lines.join("\n")}\n\n${sum}\n`;
}
