// Where keys come from: the list in the file, a file of their own, the environment. No fault repeats one.
import { isKey } from "./fields.ts";
import { attemptRead, type Files } from "./files.ts";
import type { Faults } from "./tables.ts";

export type Env = Readonly<Record<string, string | undefined>>;

/** The variable whose list takes the place of the file's. */
const VARIABLES = { api_keys: "HAL0_DISPATCH_API_KEYS", admin_keys: "HAL0_DISPATCH_ADMIN_KEYS" } as const;

interface KeySources extends Pick<Files, "readFile"> {
  readonly kind: keyof typeof VARIABLES;
  readonly listed: readonly string[];
  /** Path of the kind's file; its keys come on top. One a line, empty lines and lines with `#` first pass. */
  readonly keysFile: string | null;
  readonly env: Env;
}

/** Every key of that kind, each once; null with the faults added. A source that is given but holds no key is a fault: it was meant to protect. */
export function readKeys({ kind, listed, keysFile, env, readFile }: KeySources, faults: Faults): string[] | null {
  const before = faults.length;
  const keys = new Set<string>();
  const take = (where: string, found: readonly string[]): void => {
    const trimmed = found.map((key) => key.trim()).filter((key) => key !== "");
    if (trimmed.length === 0) faults.push(`${where}: holds no key`);
    if (!trimmed.every(isKey)) faults.push(`${where}: a key holds a space or a sign that no header can carry`);
    for (const key of trimmed) keys.add(key);
  };

  const variable = VARIABLES[kind];
  const fromEnv = env[variable];
  if (fromEnv) take(variable, fromEnv.split(","));
  else if (listed.length > 0) take(`server.${kind}`, listed);
  if (keysFile !== null) {
    const where = `server.${kind}_file: ${keysFile}`;
    const text = attemptRead(() => readFile(keysFile));
    // Trimming takes a byte order mark too.
    if (text.ok)
      take(
        where,
        text.value.split("\n").filter((line) => !line.trimStart().startsWith("#")),
      );
    else faults.push(`${where} ${text.reason}`);
  }
  return faults.length > before ? null : [...keys];
}

/** The key in the variable that `where` names, or null: unset, which is a fault unless `isOptional`, or no key. */
export function readKeyFrom(
  where: string,
  variable: string,
  env: Env,
  faults: Faults,
  isOptional = false,
): string | null {
  const value = env[variable];
  // `env` may be process.env, whose `constructor` is a function.
  const key = typeof value === "string" ? value.trim() : "";
  if (key !== "" && isKey(key)) return key;
  if (key !== "") faults.push(`${where}: the key holds a space or a sign that no header can carry`);
  else if (!isOptional) faults.push(`${where}: ${publicName(variable)} is not set in the environment`);
  return null;
}

/** A key pasted instead of the name can pass for a name; a name written in the usual way of variables is not a key. */
function publicName(variable: string): string {
  return /^[A-Z][A-Z0-9]*(_[A-Z0-9]{1,16})+$/.test(variable) ? variable : "the variable that it names";
}
