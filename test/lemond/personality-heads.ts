// The headers of lemond's answers, in the order that each generation sends them.
import type { Personality } from "./personality.ts";

const methods = "Access-Control-Allow-Methods: GET, POST, PUT, DELETE, OPTIONS";
const headers106 = "Access-Control-Allow-Headers: Content-Type, Authorization";
const headers117 =
  "Access-Control-Allow-Headers: Content-Type, Authorization, X-Client-Session-Id, X-Account-Session-Id, mcp-protocol-version, traceparent, Mcp-Session-Id";

const reasons: Readonly<Record<number, string>> = {
  200: "OK",
  204: "No Content",
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  500: "Internal Server Error",
  501: "Not Implemented",
  503: "Service Unavailable",
};

export interface HeadOptions {
  readonly status: number;
  readonly bodyBytes: number;
  readonly mustClose: boolean;
  readonly origin: string | undefined;
  readonly contentType?: string | undefined;
}

export function plainHead({ version }: Personality, options: HeadOptions): string {
  const { status, bodyBytes, mustClose, origin, contentType = "application/json" } = options;
  const connection = mustClose ? "Connection: close" : "Keep-Alive: timeout=5, max=100";
  const first = `HTTP/1.1 ${status} ${reasons[status] ?? "Status"}`;
  const type = `Content-Type: ${contentType}`;
  const length = `Content-Length: ${bodyBytes}`;
  const lines =
    version === "10.6"
      ? [first, type, length, "Access-Control-Allow-Origin: *", connection, methods, headers106]
      : origin !== undefined && status < 400
        ? [
            first,
            connection,
            methods,
            headers117,
            length,
            type,
            "Vary: Origin",
            `Access-Control-Allow-Origin: ${origin}`,
          ]
        : [
            first,
            ...(mustClose ? [] : [connection]),
            methods,
            headers117,
            "Vary: Origin",
            ...(mustClose ? [connection] : []),
            type,
            length,
          ];
  return `${lines.join("\r\n")}\r\n\r\n`;
}

export function streamHead({ version }: Personality, mustClose: boolean, contentType: string): string {
  const stream = ["Transfer-Encoding: chunked"];
  const lines =
    version === "10.6"
      ? [
          ...stream,
          headers106,
          methods,
          "Access-Control-Allow-Origin: *",
          "Cache-Control: no-cache",
          "Connection: keep-alive",
          "X-Accel-Buffering: no",
          `Content-Type: ${contentType}`,
        ]
      : [
          ...stream,
          "X-Accel-Buffering: no",
          `Content-Type: ${contentType}`,
          ...(mustClose ? ["Connection: close"] : []),
          "Connection: keep-alive",
          headers117,
          methods,
          "Cache-Control: no-cache",
          "Vary: Origin",
        ];
  const keepAlive = mustClose ? [] : ["Keep-Alive: timeout=5, max=100"];
  return `${["HTTP/1.1 200 OK", ...keepAlive, ...lines].join("\r\n")}\r\n\r\n`;
}

/** Without a body: HEAD, and 204 to OPTIONS. The order is its own. */
export function bareHead({ version }: Personality, status: number, mustClose: boolean): string {
  const connection = mustClose ? "Connection: close" : "Keep-Alive: timeout=5, max=100";
  const first = `HTTP/1.1 ${status} ${reasons[status] ?? "Status"}`;
  const ranges = status === 204 ? [] : ["Accept-Ranges: bytes"];
  const length = "Content-Length: 0";
  const lines =
    version === "10.6"
      ? [length, "Access-Control-Allow-Origin: *", ...ranges, connection, methods, headers106]
      : status === 204
        ? [length, "Vary: Origin", connection, methods, headers117]
        : [...ranges, methods, headers117, connection, "Vary: Origin", length];
  return `${[first, ...lines].join("\r\n")}\r\n\r\n`;
}
