// The process that stands in for one llama-server. Faults come from the parent by IPC, what happens goes back the same way.
// It dies with its parent (`--no-orphans` covers a parent that was killed while this process is stopped).
import { route } from "./child-routes.ts";
import { loadingModel } from "./child-replies.ts";
import { dieNow, sendReply } from "./child-send.ts";
import { serveHttp, type HttpServer } from "./http.ts";
import type { Exchange } from "./http-peer.ts";
import { readSettings, readToChild, settingsVariable, type FromChild } from "./ipc.ts";
import type { DeathPoint, Faults } from "./types.ts";

const tell = (message: FromChild): void => void process.send?.(message);

function main(): void {
  const settings = readSettings(process.env[settingsVariable] ?? "");
  const port = Number(process.argv[process.argv.indexOf("--port") + 1]);
  // A real llama-server does not start with an argument it does not know (recording 10).
  if (process.argv.some((argument) => argument.startsWith("--no-such"))) return fail("unknown argument");

  let faults: Faults = {};
  let server: HttpServer | undefined;
  let warmAt = performance.now() + settings.warmMs;
  let busy = 0;
  let requests = 0;
  /** After SIGTERM nothing is generated any more; what is open stays open and silent until SIGKILL (recordings 35, 73). */
  let isDraining = false;
  let frozen: (() => void)[] = [];
  let toClose = 0;
  let toReset = 0;
  let death: DeathPoint | undefined;
  /** A prompt is answered once the parent has noted it: whoever sees the reply sees it counted. */
  const noted = new Map<number, () => void>();

  const isFrozen = (): boolean => isDraining || faults.hang === true || faults.wedge === true;
  const thaw = (): Promise<void> =>
    isFrozen() ? new Promise<void>((resolve) => frozen.push(resolve)).then(thaw) : Promise.resolve();

  const answer = async (exchange: Exchange, bodySha256: string): Promise<void> => {
    const isHealth = exchange.method === "GET" && /^(\/v1)?\/health$/.test(exchange.path);
    if (faults.resetReused === true && exchange.nth > 1) return exchange.cut("rst");
    if (exchange.method === "POST") {
      if (faults.closeOnPath === exchange.path) return exchange.cut("fin");
      if (toClose > 0) {
        toClose -= 1;
        return exchange.cut("fin");
      }
      if (toReset > 0) {
        toReset -= 1;
        return exchange.cut("rst");
      }
    }
    if (exchange.method === "POST") busy += 1;
    let isCounted = exchange.method === "POST";
    const release = (): void => {
      if (isCounted) busy -= 1;
      isCounted = false;
      if (isDraining && busy === 0) process.exit(0);
    };
    exchange.onGone(release);
    if (!(isHealth && faults.wedge === true && faults.hang !== true && !isDraining)) await thaw();
    const isLoading = faults.loading === true || performance.now() < warmAt;
    const routed = isLoading
      ? { reply: loadingModel(), sim: {}, tokens: 0 }
      : route({ ...exchange, bodySha256 }, { settings, busySlots: () => busy });
    const dying = exchange.method === "POST" ? death : undefined;
    const { pingMs } = settings;
    const alwaysThawed = (): Promise<void> => Promise.resolve();
    await sendReply({ exchange, ...routed, pingMs, death: dying, thaw: isHealth ? alwaysThawed : thaw });
    release();
  };

  const onExchange = async (exchange: Exchange): Promise<void> => {
    const id = (requests += 1);
    const { method, headers, body, connection, nth } = exchange;
    const isProbe = method === "GET" && /^(\/v1)?\/(health|models|slots|props|metrics)$/.test(exchange.path);
    const bodySha256 = new Bun.CryptoHasher("sha256").update(body).digest("hex");
    const bodyText = body.length < 65_536 ? body.toString("utf8") : null;
    const about = { id, method, path: exchange.target, headers, bodyBytes: body.length, bodySha256, bodyText };
    exchange.onGone(() => tell({ kind: "aborted", id }));
    const isNoted = isProbe ? null : new Promise<void>((resolve) => noted.set(id, resolve));
    tell({ kind: "request", request: { ...about, connection, nth, at: Date.now(), isProbe } });
    await isNoted;
    if (method === "POST" && death === "before-headers") dieNow();
    void answer(exchange, bodySha256);
  };

  const listen = (): void => {
    server = serveHttp({
      port,
      idleMs: settings.idleMs,
      onExchange: (exchange) => void onExchange(exchange),
      onOpen: () => faults.resetNew !== true,
    });
  };

  const listenAgain = (): void => {
    try {
      listen();
    } catch {
      process.exit(1); // Another child has the port by now.
    }
  };

  const apply = (next: Faults): void => {
    if (next.refuse === true && faults.refuse !== true) server?.close();
    if (next.refuse !== true && faults.refuse === true) listenAgain();
    if (faults.loading === true && next.loading !== true) warmAt = 0;
    faults = next;
    toClose = next.closeBeforeReply ?? 0;
    toReset = next.resetBeforeReply ?? 0;
    death = next.dieOnPost?.when;
    if (isFrozen()) return;
    const waiting = frozen;
    frozen = [];
    for (const resume of waiting) resume();
  };

  process.on("message", (message) => {
    const order = readToChild(message);
    if (order.kind === "noted") {
      noted.get(order.id)?.();
      noted.delete(order.id);
      return;
    }
    if (order.kind === "set") apply(order.faults);
    tell({ kind: "ack", id: order.id, value: server?.open ?? 0 });
  });
  process.on("disconnect", () => process.exit(0));
  process.on("SIGTERM", () => {
    // The second one ends it (recording 73).
    if (isDraining || (busy === 0 && noted.size === 0)) process.exit(0);
    isDraining = true;
    setTimeout(() => {
      if (settings.endsAtTerm) process.exit(0);
      server?.close();
      server?.closeIdle();
    }, settings.closeMs);
  });

  try {
    listen();
  } catch (cause) {
    return fail(cause instanceof Error && "code" in cause ? String(cause.code) : String(cause));
  }
  tell({ kind: "listening" });
}

function fail(code: string): void {
  tell({ kind: "failed", code });
  process.exit(1);
}

main();
