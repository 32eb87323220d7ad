// Decides what a failure looks like to a client: code → status and type, and the shape that the client of each route reads.
// Never prints a stack or `Error.cause`.

/** What the client of a route understands as an error: OpenAI chat and most others, Anthropic messages, OpenAI responses, Ollama. */
export type Dialect = "openai" | "anthropic" | "responses" | "ollama";

const TABLE = {
  "request.invalid": { status: 400, type: "invalid_request_error" },
  "request.too_large": { status: 413, type: "invalid_request_error" },
  "request.not_found": { status: 404, type: "invalid_request_error" },
  "request.method_not_allowed": { status: 405, type: "invalid_request_error" },
  "request.unsupported_encoding": { status: 415, type: "invalid_request_error" },
  "request.loop": { status: 508, type: "invalid_request_error" },
  "auth.invalid_key": { status: 401, type: "invalid_request_error" },
  "auth.control_refused": { status: 403, type: "invalid_request_error" },
  "dispatch.no_route": { status: 404, type: "invalid_request_error" },
  "slot.not_found": { status: 404, type: "invalid_request_error" },
  "slot.busy": { status: 409, type: "invalid_request_error" },
  "slot.loading": { status: 503, type: "server_error" },
  "slot.overloaded": { status: 503, type: "server_error" },
  "slot.load_failed": { status: 502, type: "server_error" },
  "dispatch.upstream_unavailable": { status: 502, type: "server_error" },
  "dispatch.upstream_timeout": { status: 504, type: "server_error" },
  "dispatch.stream_interrupted": { status: 502, type: "server_error" },
  "server.draining": { status: 503, type: "server_error" },
  "server.internal": { status: 500, type: "server_error" },
} as const;

export type ErrorCode = keyof typeof TABLE;

/** The one error that leaves the server. `headers` are sent with it (`Retry-After`, `Allow`, …). */
export class DispatchError extends Error {
  override readonly name = "DispatchError";
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    code: ErrorCode,
    message: string,
    details: Record<string, unknown> = {},
    headers: Record<string, string> = {},
    cause?: unknown,
  ) {
    super(message, { cause });
    this.code = code;
    this.details = details;
    // A 503 without Retry-After leaves a client guessing: one second unless the thrower knows better.
    this.headers = TABLE[code].status === 503 ? { "retry-after": "1", ...headers } : headers;
  }

  get status(): number {
    return TABLE[this.code].status;
  }
}

/** The error as the JSON reply of a route of that dialect. */
export function errorResponse(error: DispatchError, dialect: Dialect, requestId: string): Response {
  return Response.json(bodyOf(error, dialect), {
    status: error.status,
    headers: { ...error.headers, "x-request-id": requestId },
  });
}

function bodyOf(error: DispatchError, dialect: Dialect): Record<string, unknown> {
  switch (dialect) {
    case "anthropic":
      return { type: "error", ...envelope(error, dialect) };
    case "ollama":
      return { error: error.message };
    default:
      return envelope(error, dialect);
  }
}

/** The last event of a stream that failed: SSE text ending in a blank line, or Ollama's line. `retry_after_s` stands for `Retry-After`. */
export function errorEvent(error: DispatchError, dialect: Dialect): string {
  const { message, code, headers } = error;
  const retry = headers["retry-after"];
  const wait = retry === undefined ? {} : { retry_after_s: Number(retry) };
  const own =
    dialect === "anthropic" ? { type: anthropicType(error.status), message, code } : envelope(error, dialect).error;
  return foreignErrorEvent({ ...own, ...wait }, dialect);
}

/** The same with an upstream's own `error` object. */
export function foreignErrorEvent(error: Readonly<Record<string, unknown>>, dialect: Dialect): string {
  switch (dialect) {
    case "openai":
      return `data: ${JSON.stringify({ error })}\n\n`;
    case "anthropic":
      return `event: error\ndata: ${JSON.stringify({ type: "error", error })}\n\n`;
    case "ollama":
      return `${JSON.stringify({ error: error["message"] })}\n`;
    case "responses": {
      const { code, message } = error;
      const response = { status: "failed", error: { code, message } };
      return `event: response.failed\ndata: ${JSON.stringify({ type: "response.failed", response, error })}\n\n`;
    }
  }
}

function envelope(error: DispatchError, dialect: Dialect): { error: Record<string, unknown> } {
  const type = dialect === "anthropic" ? anthropicType(error.status) : TABLE[error.code].type;
  return { error: { message: error.message, type, param: null, code: error.code, details: error.details } };
}

function anthropicType(status: number): string {
  switch (status) {
    case 400:
    case 405:
    case 409:
    case 415:
    case 508:
      return "invalid_request_error";
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 413:
      return "request_too_large";
    case 503:
      return "overloaded_error";
    default:
      return "api_error";
  }
}
