// The `sim` field of a request body: how a test tells a child what its reply shall be like. Parsing only.

export interface Sim {
  /** How many words the whole answer has, whatever the client's limit; one that is continued has what is left of them. */
  readonly tokens?: number;
  /** The whole answer, in place of what the model would say. */
  readonly text?: string;
  /** What it thinks before, where the template knows thoughts. */
  readonly reasoning?: string;
  readonly tokenMs?: number;
  /** Before the headers. */
  readonly firstByteMs?: number;
  /** After the headers, before the first event. */
  readonly firstTokenMs?: number;
  /** Base64; the body, in place of generated text. */
  readonly raw?: string;
  /** The body in pieces of so many bytes, each a write and a chunk of its own, a macro-task apart. */
  readonly chunkBytes?: number;
  readonly contentType?: string;
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** End there without a last chunk. */
  readonly cutAfterBytes?: number;
  /** What goes on with the reply is whole. */
  readonly cutsOnce?: boolean;
  /** Default `fin`; `kill` is SIGKILL of the child by itself. */
  readonly cut?: "fin" | "rst" | "kill";
  /** Hang after the bytes. */
  readonly silentAtEnd?: boolean;
  /** Neither chunked nor a length: the end is the FIN. */
  readonly closeDelimited?: boolean;
  /** A lie. */
  readonly contentLength?: number;
  /** Answer `{sha256, bytes}` of the request body. */
  readonly echo?: boolean;
  readonly hang?: boolean;
  /** Pad a plain reply to this size. */
  readonly bodyKb?: number;
  /** Pretend that the prompt has this many tokens: over the context it is a 400. */
  readonly promptTokens?: number;
}

export type Body = Readonly<Record<string, unknown>>;

/** Null: not a JSON object. */
export function parseBody(text: string): Body | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Body) : null;
  } catch {
    return null;
  }
}

export function simOf(body: Body): Sim {
  const sim = typeof body["sim"] === "object" && body["sim"] !== null ? (body["sim"] as Sim) : {};
  if (sim.cutsOnce !== true || body["continue_final_message"] === undefined) return sim;
  const { cutAfterBytes: _, ...whole } = sim;
  return whole;
}

/** The client's limit. Below 0 is none; 0 still gives one token (DESIGN.md section 2, 19). */
export function limitOf(body: Body): number | undefined {
  const asked = body["max_tokens"] ?? body["max_completion_tokens"] ?? body["n_predict"] ?? body["max_output_tokens"];
  return typeof asked === "number" && asked >= 0 ? asked : undefined;
}

/** nlohmann::json's words for a body cut short, as both servers pass them on (recordings 09, 15, 16). */
export function parseErrorText(text: string): string {
  if (text === "") {
    const advice = "check that your input string or stream contains the expected JSON";
    return `[json.exception.parse_error.101] parse error at line 1, column 1: attempting to parse an empty input; ${advice}`;
  }
  const position = `[json.exception.parse_error.101] parse error at line 1, column ${text.length + 1}: syntax error while parsing`;
  return `${position} value - unexpected end of input; expected '[', '{', or a literal`;
}
