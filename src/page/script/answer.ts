// The events of one streamed chat, as the page shows them. Pure.

export type Heard =
  /** What the request waits for, in the server's words. */
  | { readonly kind: "waiting"; readonly text: string }
  | { readonly kind: "thought" | "text"; readonly text: string }
  | { readonly kind: "error"; readonly text: string };

interface ChatEvent {
  readonly error?: { readonly message?: string };
  readonly choices?: readonly {
    readonly delta?: { readonly content?: string | null; readonly reasoning_content?: string | null };
  }[];
}

/** What one event says; null where it says nothing to a reader. */
export function heardIn(event: string): Heard | null {
  const comment = /^: (.+)$/m.exec(event)?.[1];
  if (comment !== undefined) return { kind: "waiting", text: comment };
  const data = /^data: (\{.*)$/m.exec(event)?.[1];
  if (data === undefined) return null;
  const { error, choices }: ChatEvent = JSON.parse(data);
  if (error) return { kind: "error", text: error.message ?? "The answer broke off." };
  const delta = choices?.[0]?.delta;
  if (delta?.reasoning_content) return { kind: "thought", text: delta.reasoning_content };
  return delta?.content ? { kind: "text", text: delta.content } : null;
}
