// The built executable as an operator meets it: started, asked, broken, told to stop. In front of the simulated Lemonade.
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import pkg from "../package.json" with { type: "json" };
import { runBinary, startBinary } from "./binary.ts";
import { KEY, startService, VERSIONS } from "./clients/service.ts";
import { ended } from "./ended.ts";
import { startLemond } from "./lemond/index.ts";
import { openRaw, requestText } from "./lemond/raw-client.ts";

// A test takes a second or two; on a busy machine ten times that.
setDefaultTimeout(20_000);

const headers = { authorization: `Bearer ${KEY}`, "content-type": "application/json" };
const PROMPT = "a prompt that is nobody's business";

function chat({ url }: { readonly url: string }, more: object = {}): Promise<Response> {
  const body = JSON.stringify({ model: "primary", messages: [{ role: "user", content: PROMPT }], ...more });
  return fetch(`${url}/v1/chat/completions`, { method: "POST", headers, body });
}

describe.each(VERSIONS)("lemond %s", (version) => {
  test("it starts, chats, and answers again after its child was killed", async () => {
    await using service = await startService({ lemond: { version } });
    const whole = { status: 200, how: "whole" } as const;
    expect(await ended(chat(service))).toMatchObject({ ...whole, label: null });
    for (const stream of [false, true]) {
      await service.child().kill();
      const reply = await ended(chat(service, { stream }));
      expect(reply).toMatchObject(whole);
      expect(reply.label).toBeOneOf(["recovered", "loaded"]); // `loaded` where the poll saw it first.
      expect(reply.text).toContain("tiny-a token 4");
    }
    expect(service.lemond.loads("tiny-a")).toBe(3);
    expect(service.lemond.unloads("tiny-a")).toBeLessThanOrEqual(2);
    expect(service.lemond.unloadAlls()).toBe(0);
    await service.binary.line("dispatch.decision", ({ stream }) => stream === true);
    for (const line of service.binary.lines)
      expect(line).toMatchObject({ ts: expect.any(String), level: expect.any(String), event: expect.any(String) });
    for (const secret of [PROMPT, KEY]) expect(service.binary.stdout).not.toContain(secret);
  });
});

test("--version and --help say what they are asked and end", async () => {
  const version = await runBinary({ args: ["--version"] });
  expect(version).toEqual({ code: 0, stdout: `hal0-dispatch ${pkg.version} (bun ${Bun.version})\n`, stderr: "" });
  const help = await runBinary({ args: ["--help"] });
  expect(help).toMatchObject({ code: 0, stderr: "" });
  for (const flag of ["--config", "--host", "--port", "--lemonade", "--allow-anonymous", "--check", "--version"])
    expect(help.stdout).toContain(flag);
  const usage = await runBinary({ args: ["--prot", "1"] });
  expect(usage).toMatchObject({ code: 2, stdout: "" });
  expect(usage.stderr).toMatch(/^hal0-dispatch: .*--prot.*\n$/);
});

const GOOD = `[server]\nport = 8123\napi_keys = ["${KEY}"]\n[slots.primary]\nmodel = "tiny-a"\n`;
const BAD = `[server]\nprot = 1\nport = 99999\n[lemonade]\nurl = "nowhere"\n[slots.primary]\nmodle = "tiny-a"\n`;
const FAULTS = ["server.prot", "server.port", "lemonade.url", "slots.primary.modle", "slots.primary.model"];

test("--check prints a good configuration without its secrets, and says every fault of a bad one", async () => {
  const good = await runBinary({ toml: GOOD, args: ["--check"] });
  expect(good).toMatchObject({ code: 0, stderr: "" });
  expect(good.stdout).toContain("port = 8123");
  expect(good.stdout).not.toContain(KEY);
  const bad = await runBinary({ toml: BAD, args: ["--check"] });
  expect(bad).toMatchObject({ code: 1, stdout: "" });
  expectFaults(bad.stderr);
});

test("a bad configuration is refused at start, every fault at once and no stack trace", async () => {
  const { code, stdout, stderr } = await runBinary({ toml: BAD });
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expectFaults(stderr);
});

/** One line for each fault and nothing else. */
function expectFaults(stderr: string): void {
  const lines = stderr.trimEnd().split("\n");
  const paths = lines.map((line) => /^hal0-dispatch: ([\w.]+): \S/.exec(line)?.[1] ?? line);
  expect(paths.sort()).toEqual([...FAULTS].sort());
}

test("a second copy on the same port ends with one line that names it", async () => {
  await using service = await startService({ loaded: ["tiny-a"] });
  const { port } = new URL(service.url);
  const toml = `lemonade.url = "${service.lemond.url}"`;
  const { code, stdout, stderr } = await runBinary({ toml, args: ["--port", port] });
  expect([code, stdout]).toEqual([1, ""]);
  expect(stderr).toMatch(new RegExp(`^hal0-dispatch: [^\\n]*\\b${port}\\b[^\\n]*\\n$`));
  expect((await fetch(`${service.url}/live`)).status).toBe(200); // The first one is none the worse.
});

test("it reads no .env and no bunfig.toml from where it is started", async () => {
  await using lemond = await startLemond();
  const cwd = mkdtempSync(join(tmpdir(), "hal0-cwd-"));
  try {
    for (const name of [".env", ".env.local", ".env.production", ".env.development"])
      writeFileSync(join(cwd, name), "HAL0_DISPATCH_PORT=not-a-port\nHAL0_DISPATCH_LOG=loud\n");
    writeFileSync(join(cwd, "bunfig.toml"), 'preload = ["./preload.ts"]\n');
    writeFileSync(join(cwd, "preload.ts"), 'await Bun.write("was-read", "");\n');
    const before = readdirSync(cwd).sort();
    await using binary = await startBinary({ toml: `server.port = 0\nlemonade.url = "${lemond.url}"\n`, cwd });
    expect((await fetch(`${binary.url}/live`)).status).toBe(200);
    expect(readdirSync(cwd).sort()).toEqual(before); // Nor does it leave anything there.
  } finally {
    rmSync(cwd, { recursive: true });
  }
});

test("no answer and no log line holds source or a path of the machine that built it", async () => {
  await using service = await startService({ toml: 'gate = "hold"' });
  const port = Number(new URL(service.url).port);
  const key = `Authorization: Bearer ${KEY}`;
  const requests = [
    requestText("CONNECT", "127.0.0.1:80", [key], ""),
    requestText("CONNECT", "//", [], ""),
    requestText("TRACE", "/v1/models", [key], ""),
    requestText("GET", "/../../etc/passwd", [key], ""),
    requestText("POST", "http://[", [key], ""),
    requestText("GET", "/v1/models/%E0%A4%A", [key], ""),
    requestText("GET", "/api/slots/%", [key], ""),
    requestText("POST", "/api/slots/primary/swap", [key], "{"),
    requestText("POST", "/v1/chat/completions", [key], "{"),
    requestText("POST", "/v1/messages", [key, "Content-Encoding: gzip"], "not gzip"),
    requestText("POST", "/v1/chat/completions", [key, "x-request-id: \x7f"], "[]"),
    "GET /v1/models HTTP/1.1\r\n\r\n",
    "BREW /pot HTCPCP/1.0\r\n\r\n",
  ];
  let told = "";
  for (const request of requests) {
    const connection = await openRaw(port);
    connection.send(request);
    // An answer, or the connection's end without one.
    await connection.until("\r\n\r\n").catch(() => {});
    connection.close();
    told += connection.text();
  }
  expect(told).toContain("request.invalid");
  expect((await fetch(`${service.url}/live`)).status).toBe(200);
  const all = told + service.binary.stdout;
  for (const trace of [resolve("."), homedir(), "node_modules", "$bunfs", "src/", ".ts:", "at <anonymous>", "<html"])
    expect(all).not.toContain(trace);
  expect(service.binary.lines.filter(({ event }) => event === "server.internal")).toEqual([]);
});

test("hung requests on one slot, more than Bun runs fetches at once, do not stop another slot", async () => {
  await using service = await startService();
  const port = Number(new URL(service.url).port);
  const body = JSON.stringify({ model: "primary", messages: [], sim: { hang: true } });
  const request = requestText("POST", "/v1/chat/completions", [`Authorization: Bearer ${KEY}`], body);
  // Raw sockets, since this process runs 256 fetches at once too.
  const hung = await Promise.all(Array.from({ length: 400 }, () => openRaw(port)));
  for (const connection of hung) connection.send(request);
  await until(async () => (await service.slot()).in_flight === 400);
  const began = performance.now();
  const reply = await fetch(`${service.url}/v1/embeddings`, {
    method: "POST",
    headers,
    body: '{"model":"embed","input":"one"}',
    signal: AbortSignal.timeout(5000),
  });
  expect(reply.status).toBe(200);
  expect(performance.now() - began).toBeLessThan(1000);
  // In flight is what we have sent off; that all of it has arrived is what the limit would prevent.
  await until(async () => service.child().prompts() === 400);
  for (const connection of hung) connection.close();
  await until(async () => (await service.slot()).in_flight === 0);
  expect(service.lemond.loads("tiny-a")).toBe(1);
  expect(service.lemond.unloads()).toBe(0);
});

/** Bounded by the test's own time. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await Bun.sleep(10);
}
