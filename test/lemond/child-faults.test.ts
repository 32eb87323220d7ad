// A fault that a test sets breaks the simulated llama-server on the wire exactly as it says.
import { describe, expect, test } from "bun:test";
import { startLemond, type Faults } from "./index.ts";
import { canConnect } from "./process.ts";
import { openRaw, rawRequest } from "./raw-client.ts";
import { fetchCode, outcome, post, probe, startChild } from "./child-steps.ts";

describe("faults", () => {
  const cases: readonly (readonly [string, Faults, "FIN" | "RST"])[] = [
    ["resetNew resets a fresh connection", { resetNew: true }, "RST"],
    ["closeBeforeReply ends with FIN and no byte", { closeBeforeReply: 1 }, "FIN"],
    ["resetBeforeReply ends with RST and no byte", { resetBeforeReply: 1 }, "RST"],
    ["dieOnPost before the headers ends with no byte", { dieOnPost: { when: "before-headers" } }, "FIN"],
  ];
  for (const [title, faults, end] of cases) {
    test(`${title}, which fetch calls ECONNRESET`, async () => {
      for (const look of ["raw", "fetch"] as const) {
        await using lemond = await startLemond();
        const child = await startChild(lemond);
        await child.set(faults);
        if (look === "fetch") expect(await fetchCode(child, { messages: [] })).toBe("ECONNRESET");
        else expect(await outcome(child, post({}))).toMatchObject({ end, text: "" });
      }
    });
  }

  test("closeBeforeReply counts down, and the request was received", async () => {
    await using lemond = await startLemond();
    const child = await startChild(lemond);
    await child.set({ closeBeforeReply: 1 });
    await outcome(child, post({}));
    expect((await rawRequest(child.port, post({}))).status).toBe(200);
    expect(child.prompts()).toBe(2);
  });

  test("resetReused resets the second request of a connection only", async () => {
    await using lemond = await startLemond();
    const child = await startChild(lemond);
    await child.set({ resetReused: true });
    const connection = await openRaw(child.port);
    connection.send(probe);
    await connection.until('"ok"');
    connection.send(probe);
    expect(await connection.end).toBe("RST");
  });

  test("dieOnPost dies after the headers, between events, and inside an event", async () => {
    const at = { "after-headers": "", "mid-body": "token 1 ", "mid-event": "token 1 " };
    for (const [when, seen] of Object.entries(at)) {
      await using lemond = await startLemond();
      const child = await startChild(lemond);
      if (when !== "after-headers" && when !== "mid-body" && when !== "mid-event") throw new Error(when);
      await child.set({ dieOnPost: { when } });
      const { end, reply } = await outcome(child, post({}, { stream: true }));
      await child.exited;
      expect([end, reply.status, reply.isComplete]).toEqual(["FIN", 200, false]);
      expect(reply.body).toContain(seen);
      expect(reply.body).not.toContain("token 3");
      expect(reply.body === "" || reply.body.endsWith("\n\n")).toBe(when !== "mid-event");
      expect(await canConnect(child.port)).toBe(false);
    }
  });

  test("refuse refuses, keeps what is open, and can be taken back", async () => {
    await using lemond = await startLemond();
    const child = await startChild(lemond);
    const open = await openRaw(child.port);
    open.send(post({ tokens: 100_000, tokenMs: 2 }, { stream: true }));
    await open.until("token 2 ");
    await child.set({ refuse: true });
    expect(await fetchCode(child, { messages: [] })).toBe("ECONNREFUSED");
    await open.until(`token ${open.text().split("token").length + 5} `);
    expect(child.isAlive).toBe(true);
    await child.set({});
    expect(await fetchCode(child, { messages: [] })).toBe(200);
    open.close();
  });

  test("hang and SIGSTOP answer nothing, and what waited is answered afterwards", async () => {
    await using lemond = await startLemond();
    const child = await startChild(lemond);
    for (const [begin, over] of [
      [() => child.set({ hang: true }), () => child.set({})],
      [() => child.kill("SIGSTOP"), () => child.kill("SIGCONT")],
    ] as const) {
      await begin();
      const connection = await openRaw(child.port);
      connection.send(probe);
      expect(
        await Promise.race([connection.until("200").then(() => "answer"), Bun.sleep(60).then(() => "silent")]),
      ).toBe("silent");
      await over();
      expect(await connection.until('"ok"')).toContain("200 OK");
      connection.close();
    }
  });

  test("loading says 503 to everything, with the words of the recording", async () => {
    await using lemond = await startLemond();
    const child = await startChild(lemond);
    await child.set({ loading: true });
    for (const text of [probe, post({})]) {
      const reply = await rawRequest(child.port, text);
      expect([reply.status, reply.body]).toEqual([
        503,
        '{"error":{"message":"Loading model","type":"unavailable_error","code":503}}',
      ]);
    }
  });
});
