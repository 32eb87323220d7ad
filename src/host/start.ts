// Starts the service and looks whether it serves. Where the container refuses two of its mounts, it is given a unit without them.
import { closingLines } from "./lan.ts";
import { NO_MOUNTS, readShow, type Service, SHOW, troubleOf } from "./service.ts";
import { commandStep, type HostIo, type Step } from "./steps.ts";
import { UNIT_NAME, UNMOUNTABLE } from "./unit.ts";

export interface StartOptions {
  readonly io: HostIo;
  /** Puts a unit in place that asks for no mount of /proc. */
  writeLesserUnit(): void;
  readonly isLan: boolean;
  readonly key: string;
}

const RESTART = ["systemctl", "restart", UNIT_NAME] as const;
const RELOAD = ["systemctl", "daemon-reload"] as const;

const LESSER = `This container refuses the mounts of ${UNMOUNTABLE.join(" and ")}: the service does without the two. On Proxmox, Options → Features → nesting and another install bring them back.`;

export function startSteps({ io, writeLesserUnit, isLan, key }: StartOptions): Step[] {
  // Type=notify: it returns when the service listens, or has failed.
  const restart = async (): Promise<string | null> => {
    const { code, said } = await io.run(RESTART);
    if (code === 0) return null;
    return faultOf(await show(io)) ?? `${RESTART.join(" ")} failed: ${said.trim() || `exit ${code}`}`;
  };
  return [
    commandStep(RELOAD, io),
    commandStep(["systemctl", "enable", UNIT_NAME], io),
    // Earlier failed starts would count as tries of this one. A unit that systemd has not read yet has no failed start.
    commandStep(["systemctl", "reset-failed", UNIT_NAME], io, true),
    {
      // Starts a service that does not run, and restarts one that does, for an upgrade.
      said: `run ${RESTART.join(" ")}`,
      act: async () => {
        const fault = await restart();
        if (fault === null || (await show(io))?.exitCode !== NO_MOUNTS) return fault;
        writeLesserUnit();
        const { code, said } = await io.run(RELOAD);
        if (code !== 0) return `${RELOAD.join(" ")} failed: ${said.trim() || `exit ${code}`}`;
        io.out(LESSER);
        return restart();
      },
    },
    {
      said: null,
      act: async () => {
        const service = await show(io);
        const url = service?.url ?? null;
        if (url === null) return faultOf(service) ?? `${SHOW.slice(0, 3).join(" ")} does not say where it serves`;
        if (!(await io.isServing(url)))
          return faultOf(await show(io)) ?? `the service runs, but ${url}/live does not answer`;
        for (const line of closingLines({ url, address: await io.address(), isLan, key })) io.out(line);
        return null;
      },
    },
  ];
}

/** Null where systemd does not say. */
async function show(io: HostIo): Promise<Service | null> {
  const { code, said } = await io.run(SHOW);
  return code === 0 ? readShow(said) : null;
}

function faultOf(service: Service | null): string | null {
  const trouble = service && troubleOf(service);
  return trouble && `${trouble.what}; ${trouble.advice}`;
}
