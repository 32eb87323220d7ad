// Decides what happens to a slot between attempt 1 and attempt 2: evidence → next step. Pure: no I/O, no state.
// The order of the lines is the order of the rules; each rule needs only what is known by then.

/** What a child's port says to a fresh connection. `refused` is a reset too; `stranger`: another model's child sits there. */
export type ChildSign = "refused" | "ok" | "loading" | "silent" | "stranger";

/** What is known so far. `unasked` is what a step may still find out. */
export interface Evidence {
  readonly clientGone: boolean;
  /** An operator's load, unload, restart or swap of the slot is under way. */
  readonly operatorActing: boolean;
  /** The slot's generation is newer than the one dialled. */
  readonly movedOn: boolean;
  readonly repairUnderWay: boolean;
  readonly hasChild: boolean;
  readonly backsOff: boolean;
  /** `same` and `elsewhere` compare with the child dialled, or the one last found dead. */
  readonly lemond: "unasked" | "refused" | "silent" | "elsewhere" | "same" | "not-listed";
  /** `gone`: the process has ended. The rest is what the port says. */
  readonly child: "unasked" | "gone" | ChildSign;
}

export type Step =
  | "stop"
  | "gate"
  | "use-current"
  | "join"
  | "back-off"
  | "ask-lemond"
  | "give-up"
  | "ask-lemond-again"
  | "adopt"
  | "ask-child"
  | "reload"
  | "keep"
  | "await-child"
  | "load";

/** The first rule that applies. `ask-…` and `await-child` are followed by another question with more evidence. */
export function nextStep(evidence: Evidence): Step {
  if (evidence.clientGone) return "stop";
  if (evidence.operatorActing) return "gate";
  if (evidence.movedOn) return "use-current";
  if (evidence.repairUnderWay) return "join";
  if (!evidence.hasChild && evidence.backsOff) return "back-off";
  switch (evidence.lemond) {
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
      return ofListedChild(evidence.child);
  }
}

function ofListedChild(child: Evidence["child"]): Step {
  switch (child) {
    case "unasked":
      return "ask-child";
    case "gone":
    case "refused":
    case "stranger": // Two models listed at one port: the one that answers there is not ours.
      return "reload";
    case "ok":
      return "keep";
    case "loading":
      return "await-child";
    case "silent":
      return "keep"; // Busy or stopped: a reload would lose somebody's work.
  }
}
