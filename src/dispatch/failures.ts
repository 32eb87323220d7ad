// Words a failed request for its client: an attempt's outcome → the error. Pure.
import { stopping } from "../http/accepted.ts";
import { DispatchError } from "../http/errors.ts";
import type { Ended } from "./attempt.ts";
import type { Sent } from "./call.ts";

/** `ended` is how `sent` came to its end without a reply. */
export function unavailable(upstream: string, sent: Sent, ended: Ended, firstByteTimeoutMs: number): DispatchError {
  const { target } = sent;
  if (ended.kind === "timeout") {
    const timeout_s = firstByteTimeoutMs / 1000;
    return new DispatchError("dispatch.upstream_timeout", `${upstream} sent no first byte within ${timeout_s} s.`, {
      upstream,
      target,
      timeout_s,
    });
  }
  const lost = ended.kind === "lost" ? ended : { error: "ConnectError", cause: ended.kind };
  const { error } = lost;
  const cause = sent.reason === undefined ? lost.cause : `${lost.cause}: ${sent.reason}`;
  return new DispatchError(
    "dispatch.upstream_unavailable",
    `${upstream} could not be reached at ${target}: ${cause}.`,
    { upstream, target, error, cause },
    { ...sent.headers },
  );
}

/** The last event of a stream that was cut; what outlasts the end of the server has not lost its model. */
export function interrupted(upstream: string, how: Ended): DispatchError {
  if (how.kind === "lost" && how.cause === "stopping") return stopping();
  const message = `The stream from ${upstream} broke off: its model was lost. What came before is incomplete.`;
  return new DispatchError("dispatch.stream_interrupted", message, { upstream });
}

/** A remote speaks the OpenAI API alone. */
export function notOllama(upstream: string, asked: string | null): DispatchError {
  const model = asked?.slice(0, 200) ?? null;
  const message = `${upstream} answers for ${model}, and does not speak Ollama's API; ask for it under /v1.`;
  return new DispatchError("dispatch.no_route", message, { model, available: [] });
}

export function internalError(requestId: string): DispatchError {
  return new DispatchError("server.internal", `Internal error; the log has it under request id ${requestId}.`, {
    request_id: requestId,
  });
}
