// The simulated Lemonade: lemond on a real port in this process, a real child process per model on a port of its own.
// It answers as the recordings in `test/wire/` do, and where they are silent as lemond's and llama.cpp's source says; each file
// names which. Nothing here sleeps in the hope of a state: every wait is for an event. Disposing kills every child ever started.
//
//   await using lemond = await startLemond({ version: "10.6", ...realTimes });
//   await lemond.load("tiny-a");                    // another client's POST /v1/load
//   await lemond.child("tiny-a")?.kill();           // gone, and 10.6 still lists it
//   const call = await lemond.receivedAny("/v1/unload");
//
// What can be asked of it, each explained in types.ts and model-spec.ts:
//   a lemond      version, models, aliases, maxModels, apiKey, adminKey, workers, port, ports, pids, pull
//   its times     loadMs, unloadMs, graceMs, closeMs, warmMs, deathNoticeMs, watchdogMs, idleEvictMs, pingMs, lemondPingMs, idleMs;
//                 `realTimes` has the measured ones; endsAtTerm, answerLoadEarly, llamaServer
//   a model       recipe, type, components, checkpoint, labels, maxContextWindow, chat: template, build, says, text, reasoning
//   one reply     the `sim` field of a request's body, or of a form: child-sim.ts (tokens, text, tokenMs, raw, cut, bodyKb, …)
//   a child       child.set({ hang, wedge, refuse, loading, dieOnPost, closeBeforeReply, … }), kill, received, requests
//   its lemond    load, unload, evict, holdLoads, holdHealth, failLoads, setLoadMs, setMute, kill, restart, sockets, log
//   its routes    routes.ts: every one that lemond 11.7 registers, with what the door makes of it
import type { ControlContext } from "./answers.ts";
import { callOf, type MutableCall } from "./calls.ts";
import { control } from "./control.ts";
import { createFleet, type Fleet } from "./fleet.ts";
import { serveHttp, type HttpServer } from "./http.ts";
import type { Exchange } from "./http-peer.ts";
import { createHold } from "./lock.ts";
import { personalityOf } from "./personality.ts";
import { createPorts } from "./ports.ts";
import type { ChildProcess } from "./process.ts";
import { completeSpec, type ModelSpec } from "./model-spec.ts";
import type { Call, Lemond, LemondOptions } from "./types.ts";
import { isUpgrade, openSocket } from "./sockets.ts";
import type { MutableSocket } from "./socket-session.ts";
import { createLog } from "./waiters.ts";

export { realTimes } from "./real-times.ts";
export type { ChatSettings, ModelSpec } from "./model-spec.ts";
export type {
  LemondSocket,
  Call,
  Child,
  ChildRequest,
  DeathPoint,
  Faults,
  Latch,
  Lemond,
  LemondOptions,
} from "./types.ts";

const defaultModels: readonly ModelSpec[] = [
  { id: "tiny-a" },
  { id: "tiny-b" },
  { id: "tiny-slow", maxContextWindow: 32_768 },
  { id: "tiny-emb", checkpoint: "/models/tiny-embed.gguf", type: "embedding" },
  { id: "tiny-rr", checkpoint: "/models/tiny-rerank.gguf", type: "reranking" },
];

export async function startLemond(options: LemondOptions = {}): Promise<Lemond> {
  const personality = personalityOf(options.version ?? "11.7");
  const models = (options.models ?? defaultModels).map((spec) => completeSpec(spec, personality.version));
  const maxModels = options.maxModels ?? 1;
  const graceMs = options.graceMs ?? 300;
  const deathNoticeMs = options.deathNoticeMs ?? 5;
  const idleMs = options.idleMs ?? 5000;
  const calls = createLog<MutableCall>();
  const sockets = createLog<MutableSocket>();
  const aliases = { ...options.aliases };
  const loadLog: { readonly model: string; readonly kind: "touch" | "load" | "replace" }[] = [];
  const children: ChildProcess[] = [];
  const failures = new Map<string, { times: number; message: string }>();
  const loadHold = createHold();
  const healthHold = createHold();
  const muteHold = createHold();
  let mute: { release(): void } | undefined;
  let loadMs = options.loadMs ?? 60;
  let hiddenPids = 1;
  let lines = 0;

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
      llamaServer: options.llamaServer,
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
      aliases,
      pull: { steps: options.pull?.steps ?? 3, stepMs: options.pull?.stepMs ?? 5 },
      lemondPingMs: options.lemondPingMs ?? 1000,
      maxModels,
      apiKey: options.apiKey,
      adminKey: options.adminKey,
      healthHold,
    };
    exchange.onGone(() => (call.isAborted = true));
    call.status = isUpgrade(exchange) ? openSocket(exchange, context, sockets) : await control(exchange, context);
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
    sockets: sockets.items,
    socketAny: (match = () => true) => sockets.any(match, "lemond: a socket"),
    log(message) {
      const entry = { level: "Info", line: message, seq: (lines += 1), timestamp: new Date().toISOString() };
      for (const socket of sockets.items)
        if (socket.isSubscribed()) void socket.send(JSON.stringify({ entry, type: "logs.entry" }));
    },
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
