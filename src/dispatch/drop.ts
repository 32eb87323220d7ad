// Lets go of a reply that nobody reads.
import type { Reply } from "./attempt.ts";
import type { Begun } from "./beginning.ts";
import type { Sent } from "./call.ts";

export function drop(reply: Reply | Begun, sent: Sent): void {
  if ("source" in reply) reply.source.cut({ kind: "client-gone" });
  sent.end(null);
}
