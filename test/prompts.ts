// How many prompts children have received, once all that they have reported has arrived.
import type { Child } from "./lemond/index.ts";

/** POSTs received by each. What a child reports travels beside its replies: one more question to it comes after all of it. */
export async function promptsOf(...children: readonly Child[]): Promise<number[]> {
  for (const child of children) await toldAll(child);
  return children.map((child) => child.prompts());
}

async function toldAll(child: Child): Promise<void> {
  if (!child.isAlive) return;
  try {
    await child.openSockets();
  } catch {
    await child.exited; // It is dying, and takes no more questions.
  }
}
