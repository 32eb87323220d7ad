// Doctor with files and a service of its own, read from its JSON.
import { runDoctor } from "../src/host/doctor.ts";
import type { Finding } from "../src/host/finding.ts";
import { type ServiceState, shown } from "./host.ts";

export const VERSION = "0.0.0-test";

export interface Asked {
  readonly toml?: string;
  /** /etc/hal0/dispatch.env; null is none. */
  readonly environment?: string | null;
  readonly env?: Readonly<Record<string, string>>;
  readonly lemonade?: string;
  readonly port?: number;
  /** How the installed service is; null is none. */
  readonly service?: ServiceState | null;
  readonly hasSystemd?: boolean;
  /** The files that the service's user can read; all of them where nothing is said. */
  readonly open?: readonly string[];
}

/** Runs doctor with files of its own and reads its JSON. */
export async function doctor(asked: Asked) {
  const { toml = "", environment = null, env = {}, lemonade, port = 0, open } = asked;
  const { service = null, hasSystemd = true } = asked;
  let text = "";
  const missing = (): never => {
    throw Object.assign(new Error("ENOENT"), { code: "ENOENT" });
  };
  const readFile = (path: string): string =>
    path === "/etc/hal0/dispatch.toml"
      ? toml
      : path === "/etc/hal0/dispatch.env" && environment !== null
        ? environment
        : path === "/etc/systemd/system/hal0-dispatch.service" && service !== null
          ? "[Service]"
          : missing();
  const io = {
    readFile,
    listFolder: missing,
    canRead: (path: string) => open?.includes(path) ?? true,
    env,
    version: VERSION,
    hasSystemd,
    run: async () => ({ code: 0, said: shown(service ?? "stopped") }),
    out: (more: string) => void (text += more),
  };
  const code = await runDoctor({ flags: { port: String(port), lemonade }, isJson: true }, io);
  const found: Finding[] = JSON.parse(text);
  return { code, text, found, of: (pattern: RegExp) => found.filter(({ what }) => pattern.test(what)) };
}

export const levels = (found: readonly Finding[]): string[] => found.map(({ level }) => level);
