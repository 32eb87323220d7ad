// What systemd says of the service, in words: whether it runs, and if not, why and what to do. Pure.
import { type Finding, ok, serious, warning } from "./finding.ts";
import { UNIT_NAME, UNMOUNTABLE } from "./unit.ts";

export interface Service {
  /** `active`, `activating`, `failed`, `inactive`, … */
  readonly active: string;
  /** Within that: `running`, `auto-restart`, `dead`, … */
  readonly sub: string;
  readonly load: string;
  /** How the last run ended: `success`, `exit-code`, `signal`, `watchdog`, `oom-kill`, `timeout`, `start-limit-hit`, … */
  readonly result: string;
  /** Of the last run; null where it did not exit by itself. */
  readonly exitCode: number | null;
  /** Of the last run; null where none ended it. */
  readonly signal: number | null;
  readonly restarts: number;
  readonly isEnabled: boolean;
  /** The unit has changed on disk since systemd read it. */
  readonly isStale: boolean;
  readonly lacksMounts: boolean;
  /** Where it serves, as it told systemd. */
  readonly url: string | null;
}

export interface Trouble {
  readonly what: string;
  readonly advice: string;
}

const PROPERTIES = {
  load: "LoadState",
  active: "ActiveState",
  sub: "SubState",
  result: "Result",
  mainCode: "ExecMainCode",
  mainStatus: "ExecMainStatus",
  restarts: "NRestarts",
  file: "UnitFileState",
  reload: "NeedDaemonReload",
  status: "StatusText",
  cgroups: UNMOUNTABLE[0],
} as const;

/** What prints the text that `readShow` reads. */
export const SHOW = ["systemctl", "show", UNIT_NAME, `--property=${Object.values(PROPERTIES).join(",")}`] as const;

/** siginfo's `si_code` of a process that has ended. */
const CLD_EXITED = 1;
const CLD_KILLED = [2, 3];

export function readShow(text: string): Service {
  const lines = text.split("\n").map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]);
  const values = new Map(lines.map(([name = "", value = ""]) => [name, value] as const));
  const value = (name: keyof typeof PROPERTIES): string => values.get(PROPERTIES[name]) ?? "";
  const code = Number(value("mainCode"));
  return {
    active: value("active"),
    sub: value("sub"),
    load: value("load"),
    result: value("result"),
    exitCode: code === CLD_EXITED ? Number(value("mainStatus")) : null,
    signal: CLD_KILLED.includes(code) ? Number(value("mainStatus")) : null,
    restarts: Number(value("restarts")),
    isEnabled: value("file") !== "disabled",
    isStale: value("reload") === "yes",
    lacksMounts: value("cgroups") === "no",
    url: /^serving at (\S+?)(;|$)/.exec(value("status"))?.[1] ?? null,
  };
}

/** The exit code with which systemd says that the container refused the mounts. */
export const NO_MOUNTS = 226;
const LOOK = "journalctl -u hal0-dispatch -n 20 has its last words";

const EXITS: Readonly<Record<number, Trouble>> = {
  1: { what: "it failed while it ran or started (exit 1)", advice: LOOK },
  2: {
    what: "its configuration has faults (exit 2)",
    advice: "hal0-dispatch --check names each; then systemctl restart hal0-dispatch",
  },
  203: {
    what: "systemd cannot run /usr/local/bin/hal0-dispatch (203/EXEC): it is missing, or built for another machine",
    advice: "run install with the executable that is built for this machine",
  },
  217: {
    what: "systemd cannot run it as its user (217/USER): the user hal0-dispatch is missing",
    advice: "hal0-dispatch install makes it",
  },
  [NO_MOUNTS]: {
    what: "this container refuses mounts that the unit asks for (226/NAMESPACE)",
    advice: "hal0-dispatch install writes a unit without them; on Proxmox, Options → Features → nesting allows them",
  },
};

/** The unit does without the two already. */
const STILL_NO_MOUNTS: Trouble = {
  what: `the mounts that the unit asks for fail, also without ${UNMOUNTABLE.join(" and ")} (226/NAMESPACE)`,
  advice: `${LOOK}, the failing mount among them; systemctl edit hal0-dispatch can switch off what asks for it`,
};

const RESULTS: Readonly<Record<string, Trouble>> = {
  watchdog: { what: "it stopped answering, and systemd ended it (watchdog)", advice: LOOK },
  "oom-kill": {
    what: "the kernel ended it for want of memory",
    advice: "give the machine or the container more memory",
  },
  timeout: { what: "it did not say in time that it serves (timeout)", advice: LOOK },
};

/** Null where it runs. */
export function troubleOf(service: Service): Trouble | null {
  const { active, load, restarts } = service;
  if (active === "active" || active === "reloading") return null;
  if (load === "masked")
    return { what: "the service is masked", advice: "systemctl unmask hal0-dispatch, then hal0-dispatch install" };
  const reason = reasonOf(service);
  if (active === "activating" || active === "deactivating")
    return reason === null
      ? { what: `the service is ${active}`, advice: "look again in a minute" }
      : { ...reason, what: `the service keeps failing: ${reason.what}` };
  if (reason === null)
    return { what: "the service does not run: it was stopped", advice: "systemctl start hal0-dispatch" };
  // systemd 252 says start-limit-hit only of starts by hand; where its own restarts came to the limit, they are counted.
  const isGivenUp = restarts > 0 || service.result === "start-limit-hit";
  if (!isGivenUp) return { ...reason, what: `the service does not run: ${reason.what}` };
  return {
    what: `the service does not run, and systemd does not start it again: ${reason.what}`,
    advice: `${reason.advice}; after that: systemctl reset-failed hal0-dispatch && systemctl start hal0-dispatch`,
  };
}

function reasonOf({ result, exitCode, signal, lacksMounts }: Service): Trouble | null {
  const known = RESULTS[result];
  if (known) return known;
  if (exitCode === NO_MOUNTS && lacksMounts) return STILL_NO_MOUNTS;
  if (exitCode !== null && exitCode !== 0)
    return EXITS[exitCode] ?? { what: `it could not be started (exit ${exitCode})`, advice: LOOK };
  if (signal !== null && result !== "success") return { what: `signal ${signal} ended it`, advice: LOOK };
  if (result === "start-limit-hit")
    return { what: "it was started too often within a minute", advice: "nothing is wrong with it" };
  return result === "success" || result === "" ? null : { what: `systemd says ${result}`, advice: LOOK };
}

/** What doctor says of it. */
export function serviceFindings(service: Service): Finding[] {
  const trouble = troubleOf(service);
  const without = service.lacksMounts
    ? `, without ${UNMOUNTABLE.join(" and ")}, whose mounts this container refuses`
    : "";
  return [
    trouble === null ? ok(`the service runs${without}`) : serious(trouble.what, trouble.advice),
    ...(service.isEnabled
      ? []
      : [warning("the service does not start with the machine", "systemctl enable hal0-dispatch")]),
    ...(service.isStale
      ? [
          warning(
            "the unit was changed since systemd read it",
            "systemctl daemon-reload && systemctl restart hal0-dispatch",
          ),
        ]
      : []),
  ];
}
