// What an installation consists of: paths on the host, modes and texts. Pure; the files are put in place elsewhere.
import example from "./dispatch.toml" with { type: "text" };

export const EXECUTABLE = "/usr/local/bin/hal0-dispatch";
export const UNIT = "/etc/systemd/system/hal0-dispatch.service";
/** What `systemctl edit` makes. */
export const UNIT_EDITS = "/etc/systemd/system/hal0-dispatch.service.d";
export const FOLDER = "/etc/hal0";
export const CONFIG = "/etc/hal0/dispatch.toml";
export const ENVIRONMENT = "/etc/hal0/dispatch.env";
/** The system user of the service. */
export const USER = "hal0-dispatch";
/** What systemd makes for it to write in: records of repairs and requests. */
export const STATE = "/var/lib/hal0-dispatch";
export const USERS = "/etc/passwd";

/** Where units of packages and administrators lie. */
export const UNIT_FOLDERS = [
  "/etc/systemd/system",
  "/run/systemd/system",
  "/usr/local/lib/systemd/system",
  "/usr/lib/systemd/system",
  "/lib/systemd/system",
] as const;

/** The configuration as it is put there: every key explained, none set. */
export const configText = (): string => String(example);

const FOLDER_MARK = "# Made by `hal0-dispatch install`, and so was this folder.";

/** The service's variables. The mark is how a later `uninstall --purge` knows that the folder may go as well. */
export function environmentText(hasMadeFolder: boolean): string {
  return `${hasMadeFolder ? FOLDER_MARK : "# Made by `hal0-dispatch install`."}
# Variables of the service, read by systemd as root: leave the mode of this file at 0600.
# After a change: systemctl restart hal0-dispatch

# Keys that clients must send, comma separated. An address that other machines reach needs one; hal0-dispatch install --lan makes it.
#HAL0_DISPATCH_API_KEYS=
# Keys that open everything. Where there are any, loading and unloading models needs one.
#HAL0_DISPATCH_ADMIN_KEYS=
# The key that lemond wants, if it wants one.
#LEMONADE_API_KEY=
# Keys of remotes, under the names that api_key_env gives them.
#OPENROUTER_API_KEY=
`;
}

/** Shows uninstall that install made this user. */
const USER_MARK = "made by hal0-dispatch install";

export const ADD_USER: readonly string[] = [
  "useradd",
  "--system",
  "--user-group",
  "--no-create-home",
  ...["--home-dir", "/nonexistent"],
  ...["--shell", "/usr/sbin/nologin"],
  ...["--comment", USER_MARK],
  USER,
];

/** The user's entry among those of the machine. */
export function findUser(
  users: string,
): { readonly uid: number; readonly gid: number; readonly isOurs: boolean } | null {
  const entry = users.split("\n").find((line) => line.startsWith(`${USER}:`));
  if (entry === undefined) return null;
  const [, , uid, gid, comment] = entry.split(":");
  return { uid: Number(uid), gid: Number(gid), isOurs: comment === USER_MARK };
}

export const isMarked = (environment: string): boolean => environment.includes(FOLDER_MARK);
