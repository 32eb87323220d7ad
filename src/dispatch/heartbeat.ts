// What a stream is sent while it waits: which routes allow it, and what it says. Pure.

/** `reading the prompt`: the request is at its child. `continuing`: the rest of a cut stream is. Else what the slot does. */
export type WaitPhase = "checking" | "waiting for room" | "loading" | "reading the prompt" | "continuing";

/** `aboutS`: how long loads of the slot take; null where none is known. */
export interface WaitProgress {
  readonly phase: WaitPhase;
  readonly elapsedS: number;
  readonly aboutS: number | null;
}

type Heartbeat = (slot: string, progress: WaitProgress) => string;

const comment: Heartbeat = (slot, { phase, elapsedS, aboutS }) => {
  const about = phase === "loading" && aboutS !== null ? ` of about ${aboutS} s` : "";
  // A line break in a slot's name would end the comment.
  return `: ${phase} of ${slot.replace(/[\r\n]/g, "?")}, ${elapsedS} s${about}\n\n`;
};

/** Anthropic's clients know it; a comment would do no harm, but some of them wait for the event. */
const ping: Heartbeat = () => 'event: ping\ndata: {"type":"ping"}\n\n';

const HEARTBEATS: Readonly<Record<string, Heartbeat>> = {
  "chat/completions": comment,
  completions: comment,
  responses: comment,
  messages: ping,
};

/** Of the route with that path below the API prefix; null if its clients understand no heartbeat. */
export function heartbeatOf(path: string): Heartbeat | null {
  return HEARTBEATS[path] ?? null;
}
