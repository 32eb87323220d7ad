// A proxy between the server and the simulated lemond, for what no lemond does on request: another answer, or a late one.
import type { Lemond } from "./lemond/index.ts";

export interface Asked {
  readonly method: string;
  readonly path: string;
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
      const body = method === "POST" ? await request.text() : null;
      const pass = (): Promise<Response> =>
        fetch(lemond.url + pathname, { method, body, headers: { connection: "close" }, keepalive: false });
      return answer({ method, path: pathname, pass });
    },
  });
  return { ...lemond, url: `http://127.0.0.1:${proxy.port}`, [Symbol.asyncDispose]: () => proxy.stop(true) };
}
