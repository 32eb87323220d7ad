// Takes the service away again: what goes, what stays, in which order. What is not there is passed over, so it can be run again.
// Keeps the configuration and the service's own folder, unless it is asked to purge.
import * as layout from "./layout.ts";
import type { Placing } from "./placing.ts";
import { carryOut, commandStep, done, type HostIo, type PlanFlags, said, type Step } from "./steps.ts";
import { UNIT_NAME } from "./unit.ts";

export interface UninstallFlags extends PlanFlags {
  readonly isPurge: boolean;
}

/** Exit code: 0 done, 1 failed, 2 called in a way that cannot work. */
export async function runUninstall({ isDryRun, isPurge, root }: UninstallFlags, io: HostIo): Promise<number> {
  return carryOut({ isDryRun, root }, io, "uninstall removes from /usr/local/bin and /etc", (placing) => {
    const tellsSystemd = root === null && placing.exists(layout.UNIT) && (io.hasSystemd || isDryRun);
    const systemctl = (...words: string[]): Step[] =>
      // Without a unit there is no failed one to forget, and systemd says so with an error.
      tellsSystemd ? [commandStep(["systemctl", ...words], io, words[0] === "reset-failed")] : [];
    const kept = [layout.CONFIG, layout.ENVIRONMENT, layout.UNIT_EDITS, layout.STATE].filter(placing.exists);
    const isFolderOurs = layout.isMarked(isPurge ? (placing.read(layout.ENVIRONMENT) ?? "") : "");
    const user = root === null ? layout.findUser(placing.read(layout.USERS) ?? "") : null;
    const steps = [
      ...systemctl("disable", "--now", UNIT_NAME),
      ...[layout.UNIT, layout.EXECUTABLE].filter(placing.exists).map((path) => removeStep(placing, path)),
      ...systemctl("daemon-reload"),
      ...systemctl("reset-failed", UNIT_NAME),
      ...(isPurge ? kept.map((path) => removeStep(placing, path)) : []),
      ...(isFolderOurs ? [emptyFolderStep(placing)] : []),
      ...(user?.isOurs === true ? userSteps(placing, !isPurge, io) : []),
      ...(isPurge ? [] : keptSteps(placing, kept, root, io.executable)),
    ];
    return steps.length > 0 ? steps : [said("nothing to remove")];
  });
}

function userSteps(placing: Placing, isStateKept: boolean, io: HostIo): Step[] {
  // A number without a user may be given to another one later, and what is kept would be theirs.
  const isOwned = isStateKept && placing.exists(layout.STATE);
  const disown = commandStep(["chown", "-R", "root:root", placing.at(layout.STATE)], io);
  return [...(isOwned ? [disown] : []), commandStep(["userdel", layout.USER], io)];
}

/** The last line says how to remove the rest: with this very program, unless it has just been removed. */
function keptSteps(placing: Placing, kept: readonly string[], root: string | null, executable: string | null): Step[] {
  if (kept.length === 0) return [];
  const paths = kept.map(placing.at).join(" ");
  const isGone = executable === null || placing.isSameFile(executable, layout.EXECUTABLE);
  const command = isGone
    ? `rm -r ${paths}`
    : `${executable} uninstall --purge${root === null ? "" : ` --root ${root}`}`;
  return [said(`keep ${paths}`), said(`To remove these too: ${command}`)];
}

function removeStep(placing: Placing, path: string): Step {
  return { said: `remove ${placing.at(path)}`, act: done(() => placing.remove(path)) };
}

function emptyFolderStep(placing: Placing): Step {
  const act = done(() => placing.removeEmptyFolder(layout.FOLDER));
  return { said: `remove ${placing.at(layout.FOLDER)} if nothing else is in it`, act };
}
