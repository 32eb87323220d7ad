// The simulated Lemonade: lemond on a real port in this process, a real child process per model on a port of its own.
// It answers as the recordings in `test/wire/` do; `recordings.test.ts` holds it to them.
//
//   await using lemond = await startLemond({ version: "10.6" });
//   await lemond.load("tiny-a");
//   await lemond.child("tiny-a")?.kill();           // gone, and 10.6 still lists it
//   const call = await lemond.receivedAny("/v1/unload");
//
// A request body's `sim` field scripts that one reply (`child-sim.ts`), `child.set({ … })` breaks a child (`types.ts`),
// `holdLoads`, `holdHealth`, `failLoads`, `evict`, `kill` break lemond. Nothing here sleeps in the hope of a state: every
// wait is for an event and ends by itself. Disposing kills every child ever started.
import type { ControlContext } from "./answers.ts";
import { control } from "./control.ts";
import { createFleet, type Fleet } from "./fleet.ts";
import { serveHttp, type HttpServer } from "./http.ts";
import type { Exchange } from "./http-peer.ts";
import { createHold } from "./lock.ts";
import { personalityOf } from "./personality.ts";
import { createPorts } from "./ports.ts";
import { foldedPath } from "./routes.ts";
import type { ChildProcess } from "./process.ts";
import { completeSpec, type ModelSpec } from "./model-spec.ts";
import type { Call, Lemond, LemondOptions } from "./types.ts";
import { createLog } from "./waiters.ts";

export { realTimes } from "./real-times.ts";
export type { ChatSettings, ModelSpec } from "./model-spec.ts";
export type { Call, Child, ChildRequest, DeathPoint, Faults, Latch, Lemond, LemondOptions } from "./types.ts";

const defaultModels: readonly ModelSpec[] = [
  { id: "tiny-a" },
  { id: "tiny-b" },
  { id: "tiny-slow", maxContextWindow: 32_768 },
  { id: "tiny-emb", checkpoint: "/models/tiny-embed.gguf", type: "embedding" },
  { id: "tiny-rr", checkpoint: "/models/tiny-rerank.gguf", type: "reranking" },
];

type MutableCall = { -readonly [K in keyof Call]: Call[K] };

export async function startLemond(options: LemondOptions = {}): Promise<Lemond> {
  const personality = personalityOf(options.version ?? "11.7");
  const models = (options.models ?? defaultModels).map((spec) => completeSpec(spec, personality.version));
  const maxModels = options.maxModels ?? 1;
  const graceMs = options.graceMs ?? 300;
  const deathNoticeMs = options.deathNoticeMs ?? 5;
  const idleMs = options.idleMs ?? 5000;
  const calls = createLog<MutableCall>();
  const loadLog: { readonly model: string; readonly kind: "touch" | "load" | "replace" }[] = [];
  const children: ChildProcess[] = [];
  const failures = new Map<string, { times: number; message: string }>();
  const loadHold = createHold();
  const healthHold = createHold();
  const muteHold = createHold();
  let mute: { release(): void } | undefined;
  let loadMs = options.loadMs ?? 60;
  let hiddenPids = 1;

  const newFleet = (ports: ReturnType<typeof createPorts>): Fleet =>
    createFleet({
      personality,
      ports,
      loadHold,
      maxModels,
      graceMs,
      deathNoticeMs,
      unloadMs: options.unloadMs ?? 40,
      watchdogMs: options.watchdogMs ?? 5000,
      closeMs: options.closeMs ?? 0,
      endsAtTerm() {
        const nth = children.length + 1;
        return options.endsAtTerm === "all" || (options.endsAtTerm === "every-second" && nth % 2 === 0);
      },
      warmMs: options.warmMs ?? 0,
      pingMs: options.pingMs ?? 30_000,
      idleMs,
      answerLoadEarly: options.answerLoadEarly ?? false,
      idleEvictMs: options.idleEvictMs,
      loadMs: () => loadMs,
      failure(model) {
        const failure = failures.get(model);
        if (failure === undefined || failure.times === 0) return undefined;
        failure.times -= 1;
        return failure.message;
      },
      // Another namespace: low numbers are somebody else's process, or nobody's.
      shownPid: (child) => (options.pids === "hidden" && child.pid > 0 ? (hiddenPids += 1) : child.pid),
      onChild: (child) => children.push(child),
      onLoad: (model, kind) => loadLog.push({ model, kind }),
    });

  const ports = createPorts(options.ports ?? "move");
  let fleet = newFleet(ports);

  const onExchange = async (exchange: Exchange): Promise<void> => {
    const call = callOf(exchange);
    calls.add(call);
    await muteHold.passed();
    const context: ControlContext = {
      personality,
      fleet,
      models,
      aliases: options.aliases ?? {},
      lemondPingMs: options.lemondPingMs ?? 1000,
      maxModels,
      apiKey: options.apiKey,
      adminKey: options.adminKey,
      healthHold,
    };
    exchange.onGone(() => (call.isAborted = true));
    call.status = await control(exchange, context);
  };
  const listen = (port: number): HttpServer =>
    serveHttp({
      port,
      idleMs,
      workers: options.workers ?? personality.workers,
      onExchange: (exchange) => void onExchange(exchange),
    });
  let server = listen(options.port ?? 0);
  const port = server.port;
  const url = `http://127.0.0.1:${port}`;

  const post = (path: string, body: object): Promise<Response> =>
    fetch(url + path, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        connection: "close",
        ...(options.apiKey === undefined ? {} : { authorization: `Bearer ${options.apiKey}` }),
      },
      body: JSON.stringify(body),
      keepalive: false,
      timeout: false,
    });
  const countLoads = (kinds: readonly string[], model?: string): number =>
    loadLog.filter((load) => kinds.includes(load.kind) && (model === undefined || load.model === model)).length;
  const isUnload = (call: Call): boolean => call.method === "POST" && call.route === "/v1/unload";

  return {
    url,
    port,
    version: personality.version,
    calls: calls.items,
    count: (route, model) =>
      calls.items.filter((call) => call.route === route && (model === undefined || call.model === model)).length,
    touches: (model) => countLoads(["touch"], model),
    loads: (model) => countLoads(["load", "replace"], model),
    replacements: () => countLoads(["replace"]),
    unloads: (model) =>
      calls.items.filter((call) => isUnload(call) && call.model !== undefined && (model ?? call.model) === call.model)
        .length,
    unloadAlls: () => calls.items.filter((call) => isUnload(call) && call.model === undefined).length,
    received: (route, match = () => true) =>
      calls.next((call) => call.status === undefined && call.route === route && match(call), `lemond: ${route}`),
    receivedAny: (route, match = () => true) =>
      calls.any((call) => call.route === route && match(call), `lemond: ${route}`),
    child: (model) => children.findLast((child) => child.model === model),
    children: () => children,
    listed: () => fleet.ids(),
    load: (model, loadOptions = {}) => post("/v1/load", { model_name: model, ...loadOptions }),
    unload: (model) => post("/v1/unload", { model_name: model }),
    evict: (model, how = {}) => fleet.evict(model, how.silentMs),
    failLoads: (model, times = 1, message = "llama-server failed to start") =>
      void failures.set(model, { times, message }),
    holdLoads: () => loadHold.hold(),
    holdHealth: () => healthHold.hold(),
    setLoadMs: (ms) => void (loadMs = ms),
    setMute(isMute) {
      mute?.release();
      mute = isMute ? muteHold.hold() : undefined;
    },
    async kill({ wedge = false } = {}) {
      // What a killed process leaves to the kernel: FIN on every connection (recording 40).
      server.destroy("fin");
      const left = fleet.abandon().filter((child) => child.isAlive);
      if (wedge) await Promise.all(left.map((child) => child.set({ wedge: true })));
      else if (personality.version === "11.7") await Promise.all(left.map((child) => child.kill()));
    },
    async restart() {
      fleet = newFleet(ports);
      server = listen(port);
    },
    async [Symbol.asyncDispose]() {
      server.destroy("rst");
      fleet.abandon();
      await Promise.all(children.map((child) => child.stop(0)));
      ports.close();
    },
  };
}

function callOf({ method, target, path, headers, body, connection }: Exchange): MutableCall {
  const parsed = body.length <= 1 << 20 ? jsonOrText(body.toString("utf8")) : null;
  return {
    method,
    path: target,
    route: foldedPath(path),
    headers,
    body: parsed,
    bodyBytes: body.length,
    bodySha256: new Bun.CryptoHasher("sha256").update(body).digest("hex"),
    model: modelOf(parsed),
    connection,
    at: Date.now(),
    status: undefined,
    isAborted: false,
  };
}

function jsonOrText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Malformed bodies are part of what is recorded.
    return text;
  }
}

function modelOf(body: unknown): string | undefined {
  if (typeof body !== "object" || body === null) return undefined;
  const name = "model_name" in body ? body.model_name : "model" in body ? body.model : undefined;
  return typeof name === "string" ? name : undefined;
}
