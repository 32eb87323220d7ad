// The repair table: what happens to a request between arrival, attempt 1 and attempt 2, and what is done to the slot.
// Pure: no I/O, no state. The order of the lines is the order of the rules; each rule needs only what is known by then.

/** What a child's port says to a fresh connection. `refused`: or reset. `stranger`: another model answers there. */
export type ChildSign = "refused" | "ok" | "loading" | "silent" | "stranger";

/** `same` and `elsewhere` compare with the child that was dialled, or the one last found dead. */
export type LemondEvidence = "unasked" | "refused" | "silent" | "elsewhere" | "same" | "not-listed";

/** `gone`: the process has ended. The rest is what the port says. */
export type ChildEvidence = "unasked" | "gone" | ChildSign;

/** How a request and its slot stand. */
export interface Standing {
  /** An operator's load, unload, restart or swap of the slot is under way. */
  readonly operatorActing: boolean;
  /** Attempt 1 was lost, and the slot was not repaired since. */
  readonly isLost: boolean;
  /** The slot's generation is newer than the one dialled. */
  readonly movedOn: boolean;
  readonly jobUnderWay: boolean;
  readonly hasChild: boolean;
  readonly backsOff: boolean;
  /** Another slot's load is about to take the child's room: what is dialled now would be cut. */
  readonly isClaimed: boolean;
}

export type Way = "gate" | "retarget" | "join" | "back-off" | "repair" | "wait" | "dial";

/** The first rule that fits. A client that has gone has no request left. */
export function wayOf(standing: Standing): Way {
  const { operatorActing, isLost, movedOn, jobUnderWay, hasChild, backsOff, isClaimed } = standing;
  if (operatorActing) return "gate";
  if (isLost && hasChild && movedOn) return isClaimed ? "wait" : "retarget";
  if (jobUnderWay) return "join";
  if (!hasChild && backsOff) return "back-off";
  if (isLost || !hasChild) return "repair";
  return isClaimed ? "wait" : "dial";
}

export type Remedy =
  "ask-lemond" | "give-up" | "ask-lemond-again" | "adopt" | "load" | "ask-child" | "reload" | "keep" | "await-child";

/** The first rule that fits. `ask-…` and `await-child` are followed by another look with more evidence. */
export function remedyOf(lemond: LemondEvidence, child: ChildEvidence): Remedy {
  switch (lemond) {
    case "unasked":
      return "ask-lemond";
    case "refused":
      return "give-up";
    case "silent":
      return "ask-lemond-again"; // Busy. Never unload on no evidence.
    case "elsewhere":
      return "adopt";
    case "not-listed":
      return "load";
    case "same":
      return remedyForListed(child);
  }
}

function remedyForListed(child: ChildEvidence): Remedy {
  switch (child) {
    case "unasked":
      return "ask-child";
    case "gone":
    case "refused":
    case "stranger": // Two models are listed at one port, and the other one answers there.
      return "reload";
    case "ok":
      return "keep";
    case "loading":
      return "await-child";
    case "silent":
      return "keep"; // Busy or stopped: a reload would lose somebody's work.
  }
}
