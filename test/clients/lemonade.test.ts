// Every route that lemond registers, asked of the built executable as a client of Lemonade's would, and what came of each.
import { expect, setDefaultTimeout, test } from "bun:test";
import { routes } from "../lemond/routes.ts";
import { KEY, startService } from "./service.ts";

setDefaultTimeout(30_000);

const filled = (path: string): string => path.replaceAll(/\{\w+\}/g, "tiny-a");
/** Bodies that a route can do something with. */
const BODIES: Readonly<Record<string, object>> = {
  "/v1/load": { model_name: "tiny-a" },
  "/v1/unload": { model_name: "tiny-a" },
  "/v1/delete": { model_name: "no-such-model" },
  "/api/delete": { name: "no-such-model" },
  "/api/show": { model: "primary" },
};
const chat = { model: "primary", messages: [], prompt: "x", input: "x", query: "x", documents: ["x"], max_tokens: 1 };

test("each route of lemond's is answered by the child, by lemond through us, by us, or not at all, as the table has it", async () => {
  await using service = await startService();
  const { lemond, url } = service;
  const headers = { authorization: `Bearer ${KEY}`, "content-type": "application/json" };
  for (const { kind, method, path } of routes) {
    if (kind === "socket") continue;
    const count = (): number =>
      lemond.calls.filter((call) => call.method === method && call.path === filled(path)).length;
    const before = count();
    const body = method === "GET" ? null : JSON.stringify(BODIES[path] ?? { ...chat, max_output_tokens: 1 });
    const response = await fetch(url + filled(path), { method, headers, body });
    await response.arrayBuffer();
    const isOurs = path === "/" || path === "/metrics" || path === "/v1/models" || path === "/live";
    switch (kind) {
      case "direct":
        expect([path, response.headers.get("x-hal0-upstream"), count() - before]).toEqual([path, "primary", 0]);
        break;
      case "own":
        expect([path, response.status]).toEqual([path, 200]);
        break;
      case "never":
      case "page":
        expect([path, response.status, count() - before]).toEqual([path, isOurs ? 200 : 404, 0]);
        break;
      case "via":
        // The simulated models are of another kind than most of these routes want: lemond says so itself.
        expect([path, response.headers.get("x-hal0-upstream"), count() - before > 0]).toEqual([path, "primary", true]);
        break;
      default:
        expect([path, response.status === 401 || response.status === 403, count() > before]).toEqual([
          path,
          false,
          true,
        ]);
    }
  }
  for (const path of ["/realtime", "/v1/realtime", "/logs/stream", "/api/v0/spans/stream", "/traces/stream"]) {
    const socket = new WebSocket(`${url.replace("http", "ws")}${path}?api_key=${KEY}`);
    await new Promise<void>((resolve, reject) => {
      socket.addEventListener("open", () => resolve());
      socket.addEventListener("error", () => reject(new Error(path)));
    });
    socket.close();
  }
  expect(service.binary.stdout + JSON.stringify(lemond.sockets)).not.toContain(KEY);
});
