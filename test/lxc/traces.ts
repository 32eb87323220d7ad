// What a machine has: files, users, units, processes. Compared before and after, it says what an uninstall has left.
import type { Container } from "./container.ts";

export interface Traces {
  readonly files: ReadonlySet<string>;
  readonly users: string;
  readonly units: ReadonlySet<string>;
}

/** What changes by itself: logs, what lives in memory, and the simulated Lemonade. */
const PRUNED = ["/proc", "/sys", "/dev", "/run", "/tmp", "/var/tmp", "/var/log", "/var/lib/systemd", "/opt/lemonade"];
const FIND = `find / -xdev ${PRUNED.map((path) => `-path ${path} -prune -o`).join(" ")}`;
/** The lists of users, and the copies of them that useradd keeps. */
const LISTS = ["passwd", "group", "shadow", "gshadow"].flatMap((name) => [`/etc/${name}`, `/etc/${name}-`]);
const MARK = "/run/before";

export async function tracesOf(container: Container): Promise<Traces> {
  const lines = async (script: string): Promise<string[]> =>
    (await container.shell(script)).split("\n").filter(Boolean);
  return {
    files: new Set(await lines(`${FIND} -print`)),
    users: await container.shell("cat /etc/passwd /etc/group /etc/shadow /etc/gshadow"),
    units: new Set(
      (
        await lines("systemctl list-unit-files --no-legend; systemctl list-units --all --plain --no-legend 'hal0*'")
      ).map((line) => line.split(/\s/)[0] ?? ""),
    ),
  };
}

/** From here on files count as newer. */
export const mark = (container: Container): Promise<string> => container.shell(`touch ${MARK}; sleep 0.1`);

/** One line for each thing that is not as before. */
export async function left(container: Container, before: Traces): Promise<string[]> {
  const after = await tracesOf(container);
  const newer = (await container.shell(`${FIND} -type f -newer ${MARK} -print`)).split("\n").filter(Boolean);
  const running = await container.shell("ls -l /proc/[0-9]*/exe 2>/dev/null | grep hal0-dispatch || true");
  return [
    ...[...after.files]
      .filter((path) => !before.files.has(path) && !LISTS.includes(path))
      .map((path) => `file ${path}`),
    ...[...before.files].filter((path) => !after.files.has(path)).map((path) => `missing file ${path}`),
    ...newer.filter((path) => !LISTS.includes(path)).map((path) => `changed file ${path}`),
    ...(after.users === before.users ? [] : ["the lists of users differ"]),
    ...[...after.units].filter((unit) => !before.units.has(unit)).map((unit) => `unit ${unit}`),
    ...(running === "" ? [] : [`process ${running.trim()}`]),
  ];
}
