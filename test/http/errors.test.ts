// What each failure looks like to the clients of the three dialects. No sockets.
import { describe, expect, test } from "bun:test";
import { DispatchError, errorEvent, errorResponse, type Dialect, type ErrorCode } from "../../src/http/errors.ts";

const TABLE = [
  ["request.invalid", 400, "invalid_request_error", "invalid_request_error"],
  ["request.too_large", 413, "invalid_request_error", "request_too_large"],
  ["request.not_found", 404, "invalid_request_error", "not_found_error"],
  ["request.method_not_allowed", 405, "invalid_request_error", "invalid_request_error"],
  ["request.unsupported_encoding", 415, "invalid_request_error", "invalid_request_error"],
  ["request.loop", 508, "invalid_request_error", "invalid_request_error"],
  ["auth.invalid_key", 401, "invalid_request_error", "authentication_error"],
  ["auth.control_refused", 403, "invalid_request_error", "permission_error"],
  ["dispatch.no_route", 404, "invalid_request_error", "not_found_error"],
  ["slot.not_found", 404, "invalid_request_error", "not_found_error"],
  ["slot.busy", 409, "invalid_request_error", "invalid_request_error"],
  ["slot.loading", 503, "server_error", "overloaded_error"],
  ["slot.overloaded", 503, "server_error", "overloaded_error"],
  ["slot.load_failed", 502, "server_error", "api_error"],
  ["dispatch.upstream_unavailable", 502, "server_error", "api_error"],
  ["dispatch.upstream_timeout", 504, "server_error", "api_error"],
  ["server.draining", 503, "server_error", "overloaded_error"],
  ["server.internal", 500, "server_error", "api_error"],
] as const satisfies readonly (readonly [ErrorCode, number, string, string])[];

describe.each(TABLE)("%s", (code, status, type, anthropicType) => {
  const error = new DispatchError(code, "What happened.", { slot: "primary" });

  test.each(["openai", "responses"] as const)(`is a ${status} that OpenAI SDKs read (%s)`, async (dialect) => {
    const response = errorResponse(error, dialect, "req-1");
    expect(response.status).toBe(status);
    expect(response.headers.get("content-type")).toStartWith("application/json");
    expect(response.headers.get("x-request-id")).toBe("req-1");
    expect(await response.json()).toEqual({
      error: { message: "What happened.", type, param: null, code, details: { slot: "primary" } },
    });
  });

  test(`is a ${status} that Anthropic SDKs read`, async () => {
    const response = errorResponse(error, "anthropic", "req-1");
    expect(response.status).toBe(status);
    expect(await response.json()).toEqual({
      type: "error",
      error: { message: "What happened.", type: anthropicType, param: null, code, details: { slot: "primary" } },
    });
  });

  test(`is a ${status} whose text Ollama's clients read`, async () => {
    const response = errorResponse(error, "ollama", "req-1");
    expect([response.status, await response.json()]).toEqual([status, { error: "What happened." }]);
  });

  test("tells when to come back if it is a 503, and only then", () => {
    const { headers } = errorResponse(error, "openai", "req-1");
    expect(headers.get("retry-after")).toBe(status === 503 ? "1" : null);
  });
});

test("a thrower that knows better says when to come back", () => {
  const error = new DispatchError("slot.loading", "", {}, { "retry-after": "42" });
  expect(errorResponse(error, "openai", "req-1").headers.get("retry-after")).toBe("42");
  const failed = new DispatchError("slot.load_failed", "", {}, { "retry-after": "5" });
  expect(errorResponse(failed, "openai", "req-1").headers.get("retry-after")).toBe("5");
});

test("the cause of an error is for the log alone", async () => {
  const error = new DispatchError("server.internal", "Internal error.", {}, {}, new Error("canary"));
  expect(error.cause).toBeInstanceOf(Error);
  for (const dialect of ["openai", "anthropic", "responses", "ollama"] as const) {
    const response = errorResponse(error, dialect, "req-1");
    expect((await response.text()) + JSON.stringify([...response.headers])).not.toContain("canary");
  }
});

describe("the last event of a broken stream", () => {
  const error = new DispatchError("dispatch.stream_interrupted", 'Broke\noff "here".', { upstream: "primary" });
  const common = { message: 'Broke\noff "here".', code: "dispatch.stream_interrupted" };
  const openai = { ...common, type: "server_error", param: null, details: { upstream: "primary" } };

  /** The one event in `text`, read as an SSE client does. */
  const read = (dialect: Dialect): { event: string | undefined; data: unknown } => {
    const lines = errorEvent(error, dialect).split("\n");
    expect(lines.splice(-2)).toEqual(["", ""]);
    const event = lines.find((line) => line.startsWith("event: "))?.slice(7);
    const data = lines.filter((line) => line.startsWith("data: "));
    expect([data.length, lines.length]).toEqual([1, event === undefined ? 1 : 2]);
    return { event, data: JSON.parse(data[0]?.slice(6) ?? "") };
  };

  test("is an error object for chat", () => {
    expect(read("openai")).toEqual({ event: undefined, data: { error: openai } });
  });

  test("is an error event for messages", () => {
    const data = { type: "error", error: { type: "api_error", ...common } };
    expect(read("anthropic")).toEqual({ event: "error", data });
  });

  test("is a line for Ollama", () => {
    expect(errorEvent(error, "ollama")).toBe('{"error":"Broke\\noff \\"here\\"."}\n');
  });

  test("is a failed response for responses", () => {
    const response = { status: "failed", error: common };
    const data = { type: "response.failed", response, error: openai };
    expect(read("responses")).toEqual({ event: "response.failed", data });
  });
});
