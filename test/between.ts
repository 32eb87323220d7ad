// A proxy between the server and the simulated lemond, for what no lemond does on request: another answer, or a late one.
import type { Lemond } from "./lemond/index.ts";

export interface Asked {
  readonly method: string;
  readonly path: string;
  /** Its body is there for who does not pass it on. */
  readonly request: Request;
  /** lemond's own answer. */
  readonly pass: () => Promise<Response>;
}

/** A lemond as the server sees it through the proxy. Ending it leaves the one behind alone. */
export function startBetween(lemond: Lemond, answer: (asked: Asked) => Promise<Response> | Response): Lemond {
  const proxy = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    fetch: async (request) => {
      const { pathname } = new URL(request.url);
      const { method } = request;
      const pass = async (): Promise<Response> => {
        const body = method === "POST" ? await request.text() : null;
        return fetch(lemond.url + pathname, { method, body, headers: { connection: "close" }, keepalive: false });
      };
      return answer({ method, path: pathname, request, pass });
    },
  });
  return { ...lemond, url: `http://127.0.0.1:${proxy.port}`, [Symbol.asyncDispose]: () => proxy.stop(true) };
}
