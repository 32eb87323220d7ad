// Plain curl against the built executable: its ordinary work, and the same while things break.
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  acrossEviction,
  afterContinuation,
  afterInterruption,
  KEY,
  LONG,
  said,
  startService,
  VERSIONS,
  whileLoading,
} from "./service.ts";
import type { Service } from "./service.ts";

// A test takes a second or two; on a busy machine ten times that.
setDefaultTimeout(20_000);

const isThere = Bun.which("curl") !== null;
if (!isThere) console.warn("curl is not installed: its tests are skipped (apt-get install curl)");

interface Got {
  /** curl's exit code. */
  readonly code: number;
  readonly out: string;
  readonly tookMs: number;
}

interface Watched {
  /** Goes in at stdin, for `--data-binary @-`. */
  readonly body?: string;
  /** Called with all that came so far. */
  readonly onText?: (out: string) => void;
}

/** Runs curl with nothing of the developer's settings. */
async function curl(args: readonly string[], { body = "", onText }: Watched = {}): Promise<Got> {
  const began = performance.now();
  const child = Bun.spawn(["curl", "-q", "-sSN", "--noproxy", "*", "--max-time", "10", ...args], {
    stdin: Buffer.from(body),
    stdout: "pipe",
    stderr: "ignore",
  });
  let out = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    out += text;
    onText?.(out);
  }
  return { code: await child.exited, out, tookMs: performance.now() - began };
}

const bearer = ["-H", `Authorization: Bearer ${KEY}`];
const ask = (more: object = {}): string =>
  JSON.stringify({ model: "primary", messages: [{ role: "user", content: "hello" }], ...more });
/** As people type it: no content type, the body on the command line. */
const chat = ({ url }: Service, more: object = {}): string[] => [
  ...bearer,
  `${url}/v1/chat/completions`,
  "-d",
  ask(more),
];

const contentOf = (out: string): unknown => JSON.parse(out).choices?.[0]?.message?.content;
/** The text of a stream that is whole. */
function streamedText(out: string): string {
  const events = out.split("\n\n").filter((event) => event !== "" && !event.startsWith(":"));
  expect(events.pop()).toBe("data: [DONE]");
  return events.map((event) => JSON.parse(event.slice("data: ".length)).choices[0]?.delta?.content ?? "").join("");
}

/** The two ways in which curl asks for text. */
const ways: Readonly<Record<string, (service: Service, ...more: string[]) => Promise<string>>> = {
  whole: async (service, ...more) => {
    const { code, out } = await curl([...more, ...chat(service)]);
    expect(code).toBe(0);
    return String(contentOf(out));
  },
  streamed: async (service, ...more) => {
    const { code, out } = await curl([...more, ...chat(service, { stream: true })]);
    expect(code).toBe(0);
    return streamedText(out);
  },
};

describe.skipIf(!isThere)("curl", () => {
  test("does its ordinary work", async () => {
    await using service = await startService();
    const { url } = service;
    for (const [name, way] of Object.entries(ways))
      expect({ name, text: await way(service) }).toEqual({ name, text: said(4) });

    const embedded = await curl([...bearer, `${url}/v1/embeddings`, "-d", '{"model":"embed","input":"one"}']);
    expect(JSON.parse(embedded.out).data[0].embedding.length).toBe(64);
    const message = await curl(["-H", `x-api-key: ${KEY}`, `${url}/v1/messages`, "-d", ask({ max_tokens: 4 })]);
    expect(JSON.parse(message.out).content).toEqual([{ type: "text", text: said(4) }]);
    const models = await curl([...bearer, `${url}/api/v1/models`]);
    expect(JSON.parse(models.out).data.map(({ id }: { id: string }) => id)).toContain("primary");
    expect(await curl(["-f", `${url}/live`])).toMatchObject({ code: 0, out: '{"status":"ok"}' });
  });

  test("sends a long prompt without waiting, with a length and in chunks", async () => {
    await using service = await startService();
    const body = ask({ padding: "ü".repeat(1_500_000), sim: { echo: true } });
    const sha256 = new Bun.CryptoHasher("sha256").update(body).digest("hex");
    const request = [...bearer, `${service.url}/v1/chat/completions`, "--data-binary", "@-"];
    // From 1 MB on curl sends `Expect: 100-continue`, and without an answer to that it waits for a second.
    for (const framing of [[], ["-H", "Transfer-Encoding: chunked"]]) {
      const { code, out, tookMs } = await curl([...framing, ...request], { body });
      expect({ code, ...JSON.parse(out) }).toEqual({ code: 0, sha256, bytes: Buffer.byteLength(body) });
      expect(tookMs).toBeLessThan(900);
    }
  });

  test("speaks HTTP/1.0, whole and streamed", async () => {
    await using service = await startService();
    for (const way of Object.values(ways)) expect(await way(service, "-0")).toBe(said(4));
  });

  describe.each(VERSIONS)("lemond %s", (version) => {
    test("does not notice an eviction", async () => {
      await using service = await startService({ lemond: { version } });
      for (const [name, way] of Object.entries(ways)) {
        const text = await acrossEviction(service, () => way(service));
        expect({ name, text }).toEqual({ name, text: said(4) });
      }
    });

    test("has the whole text of a stream that loses its model in the middle", async () => {
      await using service = await startService({ lemond: { version } });
      let killed: Promise<void> | undefined;
      const onText = (out: string): void => {
        if (out.includes("token 1 ")) killed ??= service.child().kill();
      };
      const { code, out } = await curl(chat(service, { ...LONG, stream: true }), { onText });
      expect([code, streamedText(out), out.includes(": continued\n\n")]).toEqual([0, said(100), true]);
      await afterContinuation(service);
    });

    test("is told when a stream loses its model, and its next request is served", async () => {
      await using service = await startService({ lemond: { version }, continues: false });
      let killed: Promise<void> | undefined;
      const onText = (out: string): void => {
        if (out.includes("token 1 ")) killed ??= service.child().kill();
      };
      const { code, out } = await curl(chat(service, { ...LONG, stream: true }), { onText });
      expect(code).toBe(0); // The transport is whole; what it carried is not, and says so.
      expect(out).not.toContain("[DONE]");
      expect(out.endsWith("\n\n")).toBe(true);
      const events = out
        .trimEnd()
        .split("\n\n")
        .map((event) => JSON.parse(event.slice("data: ".length)));
      expect(events.filter(({ error }) => error !== undefined)).toEqual([events.at(-1)]);
      expect(events.at(-1)?.error).toMatchObject({ code: "dispatch.stream_interrupted", type: "server_error" });
      await afterInterruption(service, async () => expect(await ways["whole"]?.(service)).toBe(said(4)));
    });
  });

  test("waits with --retry for a slot that is being loaded", async () => {
    await using service = await startService({ loaded: [] });
    const texts = await whileLoading(
      service,
      Object.values(ways).map((way) => () => way(service, "--retry", "3", "--fail")),
    );
    expect(texts).toEqual([said(4), said(4)]);
  });

  test("is held without any retry where the slot's gate is `hold`", async () => {
    await using service = await startService({ toml: 'gate = "hold"' });
    const latch = service.lemond.holdLoads();
    const asked = service.lemond.received("/v1/load");
    const restart = service.operate("primary/restart");
    await asked;
    const texts = Promise.all(Object.values(ways).map((way) => way(service)));
    const held = async (): Promise<number> => (await service.slot()).waiting;
    while ((await held()) < 2) await Bun.sleep(5);
    latch.release();
    expect((await restart).status).toBe(200);
    expect(await texts).toEqual([said(4), said(4)]);
    expect(await service.dispatched(503)).toBe(0);
    expect(service.child().prompts()).toBe(2);
  });

  test("with a wrong key fails, and is told why", async () => {
    await using service = await startService();
    const { url } = service;
    for (const key of [[], ["-H", "Authorization: Bearer wrong"], ["-H", "x-api-key: wrong"]]) {
      const { code, out } = await curl(["-i", "--fail-with-body", ...key, `${url}/v1/chat/completions`, "-d", ask()]);
      expect(code).toBe(22);
      expect(out).toStartWith("HTTP/1.1 401 ");
      expect(out).toMatch(/^www-authenticate: Bearer\r$/im);
      expect(JSON.parse(out.slice(out.indexOf("\r\n\r\n"))).error.code).toBe("auth.invalid_key");
    }
    expect(service.child().prompts()).toBe(0);
  });
});
