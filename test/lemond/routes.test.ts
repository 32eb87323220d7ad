// Which paths the simulated lemond serves, under which names, and who may ask: by key, admin key and Origin.
import { describe, expect, test } from "bun:test";
import { startLemond } from "./index.ts";
import { rawRequest, requestText } from "./raw-client.ts";
import { readRecording } from "./recording.ts";
import { routeAt, routes } from "./routes.ts";

const bearer = (key: string): readonly string[] => [`Authorization: Bearer ${key}`];

describe("the table of routes", () => {
  test("names about ninety, each once, and each found again by a path of its own", () => {
    const names = routes.map(({ method, path }) => `${method} ${path}`);
    expect(names.length).toBeGreaterThan(80);
    expect(new Set(names).size).toBe(names.length);
    for (const route of routes) {
      const path = route.path.replaceAll(/\{\w+\}/g, "a.b-c");
      expect(routeAt(route.method, path)).toBe(route);
    }
  });

  test("is served under all four prefixes, and a GET of a POST is 405", async () => {
    await using lemond = await startLemond();
    for (const prefix of ["/v1", "/api/v1", "/v0", "/api/v0"]) {
      expect((await rawRequest(lemond.port, requestText("GET", `${prefix}/system-info`, [], ""))).status).toBe(200);
      expect((await rawRequest(lemond.port, requestText("GET", `${prefix}/install`, [], ""))).status).toBe(405);
      expect((await rawRequest(lemond.port, requestText("POST", `${prefix}/nothing`, [], "{}"))).status).toBe(404);
    }
    expect(lemond.count("/v1/system-info")).toBe(4);
  });

  test("has nothing at a path that is bent", async () => {
    await using lemond = await startLemond();
    for (const path of ["/V1/health", "//v1/health", "/v1//health", "/v2/health", "/v1/health/x", "/internal"])
      expect([path, (await rawRequest(lemond.port, requestText("GET", path, [], ""))).status]).toEqual([path, 404]);
  });
});

describe("keys", () => {
  for (const version of ["10.6", "11.7"] as const) {
    test(`without one: every route as recorded on ${version}`, async () => {
      await using lemond = await startLemond({ version, apiKey: "k-reg-123" });
      const calls = await readRecording(version, "50-i-apikey-nokey");
      expect(calls.length).toBeGreaterThan(12);
      for (const { method, target, requestBody, status, body } of calls) {
        const reply = await rawRequest(lemond.port, requestText(method, target, [], requestBody));
        expect([method, target, reply.status]).toEqual([method, target, status]);
        if (target !== "/") expect(reply.body).toBe(body);
      }
    });
  }

  test("of an admin open everything, and the other key all but /internal/", async () => {
    await using lemond = await startLemond({ apiKey: "user", adminKey: "admin" });
    const status = async (path: string, headers: readonly string[]): Promise<number> =>
      (await rawRequest(lemond.port, requestText("GET", path, headers, ""))).status;
    for (const path of ["/v1/health", "/metrics", "/api/tags", "/internal/config"]) {
      const isInternal = path.startsWith("/internal");
      expect([path, await status(path, bearer("admin"))]).toEqual([path, 200]);
      expect([path, await status(path, bearer("user"))]).toEqual([path, isInternal ? 401 : 200]);
      expect([path, await status(path, [])]).toEqual([path, 401]);
    }
    expect(await status("/live", [])).toBe(200);
  });

  test("of an admin alone leave the rest open; one key opens /internal/ too", async () => {
    await using alone = await startLemond({ adminKey: "admin" });
    await using same = await startLemond({ apiKey: "user" });
    const get = (path: string, headers: readonly string[] = []): string => requestText("GET", path, headers, "");
    expect((await rawRequest(alone.port, get("/v1/health"))).status).toBe(200);
    expect((await rawRequest(alone.port, get("/internal/config"))).status).toBe(401);
    expect((await rawRequest(same.port, get("/internal/config", bearer("user")))).status).toBe(200);
  });
});

test("a call is noted with its bytes, and whether its client left", async () => {
  await using lemond = await startLemond();
  const body = '{"a":"grüße"}';
  await rawRequest(lemond.port, requestText("POST", "/v1/install", [], body));
  const sha256 = new Bun.CryptoHasher("sha256").update(body).digest("hex");
  const [call] = lemond.calls;
  expect(call).toMatchObject({ bodyBytes: Buffer.byteLength(body), bodySha256: sha256, status: 200, isAborted: false });
  const latch = lemond.holdHealth();
  const leaving = new AbortController();
  const health = fetch(`${lemond.url}/v1/health`, { signal: leaving.signal, keepalive: false });
  const left = await lemond.received("/v1/health");
  leaving.abort();
  await health.catch(() => undefined);
  while (!left.isAborted) await Bun.sleep(1);
  latch.release();
});
