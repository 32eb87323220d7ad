// What each path is: the table of lemond's routes against ours, and paths that somebody bent. No sockets.
import { describe, expect, test } from "bun:test";
import { API_PREFIXES, dialectOf, lemondPath, MODEL_ROUTES, socketPath } from "../../src/http/routes.ts";
import { routes } from "../lemond/routes.ts";

/** A path of the table with something in the place of each part that may vary. */
const filled = (path: string): string => path.replaceAll(/\{\w+\}/g, "a.b-c");

describe("every route that lemond 11.7 registers", () => {
  test.each(routes.map(({ kind, method, path }) => [kind, method, path] as const))(
    "is %s: %s %s",
    (kind, method, path) => {
      const prefixes = path.startsWith("/v1/") ? API_PREFIXES : ["/v1"];
      for (const prefix of prefixes) {
        const given = filled(path).replace(/^\/v1\//, `${prefix}/`);
        const model = MODEL_ROUTES.get(given);
        const found = lemondPath(given);
        switch (kind) {
          case "direct":
          case "via":
            expect(model?.isViaLemond).toBe(kind === "via");
            break;
          case "control":
          case "read":
            expect(model).toBeUndefined();
            expect(found?.methods[method]).toBe(kind);
            expect(found?.path).toBe(given);
            break;
          case "never":
            expect(found?.methods[method]).toBe("internal");
            break;
          case "socket":
            expect(socketPath(given)?.path).toBe(given);
            break;
          case "own":
            // `models/{id}` is ours as a fixed route, which comes before lemond's.
            if (!given.includes("/models/")) expect(found).toBeNull();
            break;
          case "page":
            expect(found).toBeNull();
        }
      }
    },
  );

  test("that carries what others asked is control among the sockets", () => {
    for (const name of ["logs/stream", "spans/stream", "traces/stream"])
      for (const prefix of ["", ...API_PREFIXES]) expect(socketPath(`${prefix}/${name}`)?.access).toBe("control");
    expect(socketPath("/realtime")).toEqual({ name: "realtime", path: "/realtime", access: "use" });
    for (const path of ["/constructor", "/v1/logs", "/api/realtime", "/realtime/", "/REALTIME"])
      expect(socketPath(path)).toBeNull();
  });
});

test("the names of a path are told apart by their parts alone", () => {
  for (const [path, name, own] of [
    ["/v1/load", "load", "/v1/load"],
    ["/api/v0/jobs/7/pause", "jobs/7/pause", "/api/v0/jobs/7/pause"],
    ["/v1/models/org/Model-1.5%20x/files", "models/org/Model-1.5 x/files", "/v1/models/org/Model-1.5%20x/files"],
    ["/v1/models/a:b/options", "models/a:b/options", "/v1/models/a%3Ab/options"],
    ["/v1/models/a%3Ab/options", "models/a:b/options", "/v1/models/a%3Ab/options"],
    ["/v1/models/%C3%BC/files", "models/ü/files", "/v1/models/%C3%BC/files"],
    ["/api/blobs/sha256:0a", "api/blobs", "/api/blobs/sha256%3A0a"],
    ["/mcp", "mcp", "/mcp"],
    ["/internal/config", "internal", "/internal/config"],
  ] as const)
    expect(lemondPath(path)).toMatchObject({ name, path: own });
});

test.each([
  // Empty parts and dots, plain and escaped.
  "//v1/load",
  "/v1//load",
  "/v1/load/",
  "/v1/",
  "/v1",
  "/v1/./load",
  "/v1/../internal/set",
  "/v1/%2e%2e/internal/set",
  "/v1/%2E/load",
  "/v1/x/..",
  // Separators that only one of two readers takes for one.
  "/v1%2fload",
  "/v1/%2Finternal/set",
  "/v1/models/a%2fb/files",
  "/v1/models/a%5cb/files",
  "/v1\\load",
  "/v1/load;x=1",
  "/v1/load%3bx",
  "/v1/load%00",
  "/v1/load%0a",
  "/v1/load%",
  "/v1/load%zz",
  "/v1/load%252f",
  "/v1/%ff/load",
  // Letters that need no escape, and other letters.
  "/%69nternal/set",
  "/v1/%69nternal/set",
  "/v1/%70arams",
  "/v1/lo%61d",
  "/v1/internal/set",
  "/v1/Internal/set",
  "/v1/INTERNAL",
  "/INTERNAL/set",
  "/Internal/set",
  "/V1/load",
  "/API/v1/load",
  "/v1/LOAD",
  "/v1/Unload",
  "/v1/Params",
  "/v1/chat/Completions",
  "/Mcp",
  "/mcp/x",
  "/api/Pull",
  "/api/pull/x",
  "/api/blobs",
  // What is not below a prefix.
  "/",
  "",
  "/v2/load",
  "/v1beta/load",
  "/api/v2/load",
  "/api",
  "/api/v1",
  "/api/slots",
  "/api/repairs",
  "/load",
  "/health",
  "/web-app",
  "/static/app.js",
  "/status",
  "/api/__proto__",
  "/v1/models",
])("%s is nothing of lemond's", (path) => {
  expect(lemondPath(path)).toBeNull();
});

test("errors have the dialect of the route", () => {
  for (const [path, dialect] of [
    ["/v1/messages", "anthropic"],
    ["/api/v0/responses", "responses"],
    ["/v1/audio/speech", "openai"],
    ["/v1/load", "openai"],
    ["/api/chat", "ollama"],
    ["/api/delete", "ollama"],
    ["/api/tags", "ollama"],
    ["/api/slots", "openai"],
    ["", "openai"],
  ] as const)
    expect([path, dialectOf(path)]).toEqual([path, dialect]);
});
