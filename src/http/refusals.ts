// The error of a request that is not admitted: each refusal with its code and its words.
import { DispatchError } from "./errors.ts";

export function noHost(): DispatchError {
  return new DispatchError("request.invalid", "headers.host: not a host name with an optional port.", {
    path: "headers.host",
  });
}

export function loop(): DispatchError {
  return new DispatchError(
    "request.loop",
    "This request has passed through this server before: one of its upstreams leads back to it.",
  );
}

export function encodedBody(): DispatchError {
  return new DispatchError(
    "request.unsupported_encoding",
    "A request body with Content-Encoding cannot be read here; send it plain.",
    { path: "headers.content-encoding" },
    { "accept-encoding": "identity" },
  );
}

export function nothingHere(path: string): DispatchError {
  return new DispatchError("request.not_found", "There is nothing at this path.", { path: path.slice(0, 200) });
}

export function notAllowed(method: string, allow: string): DispatchError {
  const message = `${method} is not allowed at this path, which takes ${allow}.`;
  return new DispatchError("request.method_not_allowed", message, { method }, { allow });
}
