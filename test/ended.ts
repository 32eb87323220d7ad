// How a reply ended, as a client sees it: whole, an envelope, a stream that says it broke off, or a silent cut.

export interface Ended {
  readonly status: number;
  /** `x-hal0-repair`. */
  readonly label: string | null;
  readonly headers: Headers;
  readonly text: string;
  /** `cut` is what must never be: a stream without its end and without a word about it. */
  readonly how: "whole" | "error" | "interrupted" | "cut";
  /** Of an envelope or an interrupted stream. */
  readonly code: string | null;
  readonly details: Readonly<Record<string, unknown>>;
}

/** Reads a reply to its end. A connection that breaks is a `cut`, never an exception. */
export async function ended(reply: Response | Promise<Response>): Promise<Ended> {
  const response = await reply;
  const { status, headers } = response;
  let text = "";
  let isBroken = false;
  try {
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? []) text += decoder.decode(chunk, { stream: true });
  } catch {
    isBroken = true; // The outcome, not a fault of the test.
  }
  const common = { status, label: headers.get("x-hal0-repair"), headers, text };
  const nothing = { code: null, details: {} };
  if (status >= 400) return { ...common, how: "error", ...errorIn(text) };
  if (isBroken) return { ...common, how: "cut", ...nothing };
  if (!headers.get("content-type")?.startsWith("text/event-stream")) return { ...common, how: "whole", ...nothing };
  if (text.endsWith("data: [DONE]\n\n")) return { ...common, how: "whole", ...nothing };
  const last = text.trimEnd().split("\n\n").at(-1) ?? "";
  const { code, details } = last.startsWith("data: {") ? errorIn(last.slice("data: ".length)) : nothing;
  const isTold = (code === "dispatch.stream_interrupted" || code === "server.draining") && text.endsWith("\n\n");
  return { ...common, how: isTold ? "interrupted" : "cut", code, details };
}

function errorIn(text: string): Pick<Ended, "code" | "details"> {
  const envelope = parsed(text);
  const { error } = envelope;
  if (typeof error !== "object" || error === null) return { code: null, details: {} };
  const { code, details } = error as { code?: unknown; details?: Record<string, unknown> };
  return { code: typeof code === "string" ? code : null, details: details ?? {} };
}

function parsed(text: string): { error?: unknown } {
  try {
    return JSON.parse(text);
  } catch {
    return {}; // Not an envelope: the test says so by the missing code.
  }
}
