// Installs the service: what is written, in which order, and what systemd is told. A dry run prints the same plan instead.
// Never touches a configuration that is there, unless it is asked to open it to the network.
import * as layout from "./layout.ts";
import type { Placing } from "./placing.ts";
import { checkSettings, openedSettings, presentSettings, type Settings } from "./settings.ts";
import { startSteps } from "./start.ts";
import { carryOut, commandStep, done, type HostIo, type PlanFlags, said, type Step, writeStep } from "./steps.ts";
import { LEMOND_UNITS, UNIT_NAME, unitText } from "./unit.ts";

export interface InstallFlags extends PlanFlags {
  /** Serve the network, with a key. */
  readonly isLan: boolean;
}

/** Exit code: 0 done, 1 failed, 2 called in a way that cannot work. Installing again is the upgrade. */
export async function runInstall({ isDryRun, root, isLan }: InstallFlags, io: HostIo): Promise<number> {
  const { executable, mostFetches } = io;
  if (executable === null && !isDryRun) {
    io.err(
      "install copies the built program, and this one runs from source: bun run build, then sudo dist/hal0-dispatch install",
    );
    return 2;
  }
  return carryOut({ isDryRun, root }, io, "install writes to /usr/local/bin and /etc", (placing) => {
    const present = presentSettings(placing);
    const settings = isLan ? openedSettings(placing, present, isDryRun ? () => UNMADE_KEY : newKey) : present;
    // Somebody else than root cannot read the keys, and what is to be seen without them is not what the service sees.
    if (!isDryRun || io.uid === 0) checkSettings(placing, settings);
    const unit = (canMountProc: boolean): string => unitFor(placing, { mostFetches, canMountProc });
    const files = [
      executable === null
        ? said(`copy dist/hal0-dispatch to ${placing.at(layout.EXECUTABLE)}, mode 0755`)
        : copyStep(placing, executable),
      ...settingsSteps(placing, present, settings),
      writeStep(placing, layout.UNIT, 0o644, unit(true)),
    ];
    if (root !== null || (!io.hasSystemd && !isDryRun)) {
      const where = root === null ? "systemd does not run here" : `nothing was started below ${root}`;
      return [...files, said(`${where}; where it does, hal0-dispatch install makes its user and starts it`)];
    }
    const writeLesserUnit = (): void => placing.writeText(layout.UNIT, 0o644, unit(false));
    return [...files, ...userSteps(placing, io), ...startSteps({ io, writeLesserUnit, isLan, key: settings.key })];
  });
}

const UNMADE_KEY = "(32-random-bytes-made-by-the-real-install)";
const newKey = (): string => crypto.getRandomValues(new Uint8Array(32)).toHex();

function copyStep(placing: Placing, executable: string): Step {
  const to = placing.at(layout.EXECUTABLE);
  if (placing.isSameFile(executable, layout.EXECUTABLE)) return said(`keep ${to}: it is this very program`);
  const act = done(() => placing.copy(executable, layout.EXECUTABLE, 0o755));
  return { said: `copy ${executable} to ${to}, mode 0755`, act };
}

function settingsSteps(placing: Placing, present: Settings, settings: Settings): Step[] {
  const { FOLDER, CONFIG, ENVIRONMENT } = layout;
  const keep = (path: string): Step => said(`keep ${placing.at(path)}`);
  const makeFolder: Step = { said: `make ${placing.at(FOLDER)}`, act: done(() => placing.makeFolder(FOLDER)) };
  const config = (): Step => {
    if (!placing.exists(CONFIG)) return writeStep(placing, CONFIG, 0o644, settings.toml);
    if (settings.toml === present.toml) return keep(CONFIG);
    const act = done(() => placing.rewriteText(CONFIG, settings.toml));
    return { said: `set server.host = "0.0.0.0" in ${placing.at(CONFIG)}`, act };
  };
  const environment = (): Step => {
    if (!placing.exists(ENVIRONMENT)) return writeStep(placing, ENVIRONMENT, 0o600, settings.environment);
    if (settings.environment === present.environment) return keep(ENVIRONMENT);
    const act = done(() => placing.writeText(ENVIRONMENT, 0o600, settings.environment));
    return { said: `put a key of 32 random bytes into ${placing.at(ENVIRONMENT)}, mode 0600`, act };
  };
  return [...(placing.exists(FOLDER) ? [] : [makeFolder]), config(), environment()];
}

function userSteps(placing: Placing, io: HostIo): Step[] {
  if (layout.findUser(placing.read(layout.USERS) ?? "") !== null) return [said(`keep the user ${layout.USER}`)];
  // A running service with DynamicUser= (0.1.0) has a user of the same name, which useradd would take for a real one.
  const hasDynamicUser = placing.read(layout.UNIT)?.includes("DynamicUser=yes") ?? false;
  return [
    ...(hasDynamicUser ? [commandStep(["systemctl", "stop", UNIT_NAME], io)] : []),
    commandStep(layout.ADD_USER, io),
  ];
}

function unitFor(placing: Placing, options: { mostFetches: string; canMountProc: boolean }): string {
  const isThere = (unit: string): boolean => layout.UNIT_FOLDERS.some((folder) => placing.exists(`${folder}/${unit}`));
  return unitText({
    ...options,
    executable: layout.EXECUTABLE,
    environmentFile: layout.ENVIRONMENT,
    lemond: LEMOND_UNITS.find(isThere) ?? LEMOND_UNITS[0],
    user: layout.USER,
  });
}
