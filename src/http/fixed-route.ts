// What a route that this server answers itself consists of. Types only.
import type { Entry } from "./accepted.ts";
import type { Access } from "./admission.ts";

/** Answers one request of a fixed route; `params` are the parts of the path, decoded. Throws DispatchError. */
export type Handler = (
  request: Request,
  params: Readonly<Record<string, string>>,
  entry: Entry,
) => Promise<Response> | Response;

export interface FixedRoute {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly handler: Handler;
  /** What is not said is safe: `use` for GET, else `control`. */
  readonly access?: Access;
  /** For a reply without an end: the connection of a reader that takes nothing for so many seconds is cut. */
  readonly silenceS?: number;
  /** Where the rest of a path that ends in `*` is lemond's to answer. */
  readonly isLemonds?: (rest: string) => boolean;
}
