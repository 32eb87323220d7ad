// Many requests at once, and what the program prints: both need the program as a process of its own.
import { expect, test } from "bun:test";
import { openRaw, requestText } from "../lemond/raw-client.ts";
import { startLemond } from "../lemond/index.ts";
import { startProgram } from "../program.ts";
import { startRemote } from "../remote.ts";

const HUNG = 400;

/** Raw connections: this process has the limit on fetches that the program must not have. */
async function hang(url: string, requests: number, model: string) {
  const body = JSON.stringify({ model, messages: [], sim: { hang: true } });
  const text = requestText("POST", "/v1/chat/completions", [], body);
  const connections = await Promise.all(Array.from({ length: requests }, () => openRaw(Number(new URL(url).port))));
  for (const connection of connections) connection.send(text);
  return () => {
    for (const connection of connections) connection.close();
  };
}

const toml = (lemond: string): string => `
[server]
drain_s = 0.1
[lemonade]
url = "${lemond}"
[slots.first]
model = "tiny-a"
[slots.second]
model = "tiny-b"
`;

test.each([
  ["as it is started", {}],
  ["with the limit on fetches in its environment already", { BUN_CONFIG_MAX_HTTP_REQUESTS: "65336" }],
])(
  "400 hung requests on one slot keep no other slot from answering within a second, %s",
  async (_, env) => {
    await using lemond = await startLemond({ maxModels: 2 });
    for (const model of ["tiny-a", "tiny-b"]) await lemond.load(model);
    await using program = await startProgram(toml(lemond.url), env);
    const leave = await hang(program.url, HUNG, "first");
    const child = lemond.child("tiny-a");
    while ((child?.prompts() ?? 0) < HUNG) await child?.received();
    expect((await (await fetch(`${program.url}/api/slots/first`)).json()) as unknown).toMatchObject({
      in_flight: HUNG,
    });
    for (const stream of [false, true]) {
      const startedMs = performance.now();
      const body = JSON.stringify({ model: "second", messages: [], stream });
      const response = await fetch(`${program.url}/v1/chat/completions`, { method: "POST", body });
      expect(response.status).toBe(200);
      expect(await response.text()).toContain("tiny-b token 1");
      expect(performance.now() - startedMs).toBeLessThan(1000);
    }
    leave();
    const deadlineMs = performance.now() + 5000;
    while ((child?.aborted ?? 0) < HUNG && performance.now() < deadlineMs) await Bun.sleep(10);
    expect([child?.aborted, await child?.openSockets()]).toEqual([HUNG, 0]);
    expect([lemond.loads(), lemond.unloads(), lemond.unloadAlls()]).toEqual([2, 0, 0]);
    expect(program.stderr()).toBe("");
  },
  20_000,
);

test("the program prints JSON lines and nothing else, also when replies break off in every way", async () => {
  const head = (type: string): string => `HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\nContent-Length: 99999\r\n\r\n`;
  await using remote = await startRemote(
    ({ path }) => head(path === "/chat/completions" ? "audio/mpeg" : "text/event-stream") + "data: x\n\n".repeat(200),
    { staysOpen: true },
  );
  await using lemond = await startLemond();
  await lemond.load("tiny-a");
  const far = `[upstreams.far]\nurl = "${remote.url}"\nmodels = ["far/*"]\n`;
  await using program = await startProgram(toml(lemond.url) + far);
  for (const how of ["fin", "rst"] as const)
    for (const path of ["chat/completions", "completions"]) {
      const body = JSON.stringify({ model: "far/m", stream: true });
      const reader = (await fetch(`${program.url}/v1/${path}`, { method: "POST", body })).body?.getReader();
      await reader?.read();
      remote.cut(how);
      // The end is another test's; here it only has to be over.
      while (!((await reader?.read().catch(() => null))?.done ?? true));
    }
  const odd = await openRaw(Number(new URL(program.url).port));
  odd.send("CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
  await odd.until("request.not_found");
  odd.close();
  await fetch(`${program.url}/v1/chat/completions`, { method: "POST", body: "{" });
  expect(await program.stop()).toBe(0);
  expect(program.stderr()).toBe("");
  const lines = program.stdout().split("\n");
  expect(lines.pop()).toBe("");
  for (const line of lines)
    expect(JSON.parse(line)).toMatchObject({
      ts: expect.any(String),
      level: expect.any(String),
      event: expect.any(String),
    });
  expect(lines.filter((line) => line.includes('"dispatch.stream_interrupted"')).length).toBe(4);
}, 15_000);
