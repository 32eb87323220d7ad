// What lemond says on a WebSocket: realtime sessions, the log, and in-band keys (websocket_server.cpp). The transcript is made up.
import { parseBody, type Body } from "./child-sim.ts";
import type { Upgraded } from "./http-peer.ts";
import type { LemondSocket } from "./types.ts";
import type { Log } from "./waiters.ts";
import { closeBytes, frameBytes, type Frame } from "./ws-frames.ts";

export type SocketLog = Log<MutableSocket>;
export type MutableSocket = { -readonly [K in keyof LemondSocket]: LemondSocket[K] } & {
  readonly isSubscribed: () => boolean;
  readonly ended: (code: number) => void;
};

export type SocketKind = "realtime" | "logs" | "spans";

interface Opening {
  readonly kind: SocketKind;
  readonly isIn: boolean;
  readonly isKey: (key: string) => boolean;
  readonly about: Pick<LemondSocket, "path" | "headers" | "credential">;
  readonly upgraded: Upgraded;
  readonly log: SocketLog;
}

export function createSession({ kind, isIn, isKey, about, upgraded, log }: Opening) {
  let isAuthenticated = isIn;
  let isSubscribed = false;
  let audio = 0;
  const closed = Promise.withResolvers<number>();
  const say = (value: object): void => void socket.send(JSON.stringify(value));
  const fail = (message: string): void => say({ error: { message, type: "invalid_request_error" }, type: "error" });

  const authenticate = (body: Body): void => {
    const key = String(body["token"] ?? body["api_key"] ?? "").replace(/^Bearer /, "");
    if (!isKey(key)) return fail("Invalid API key");
    isAuthenticated = true;
    say({ type: "auth.ok" });
  };
  const heard = (text: string): void => {
    const body = parseBody(text);
    if (body === null) return fail("Invalid JSON: parse error");
    if (body["type"] === "auth") return authenticate(body);
    if (!isAuthenticated) return fail("Unauthorized. Please authenticate first by sending an auth message.");
    if (kind === "logs") {
      if (body["type"] !== "logs.subscribe") return fail("Expected logs.subscribe message");
      isSubscribed = true;
      return say({ entries: [], type: "logs.snapshot" });
    }
    switch (body["type"]) {
      case "session.update":
        return say({
          session: { id: "sess_1", ...(typeof body["session"] === "object" ? body["session"] : {}) },
          type: "session.updated",
        });
      case "input_audio_buffer.append":
        audio += String(body["audio"] ?? "").length;
        return;
      case "input_audio_buffer.clear":
        audio = 0;
        return say({ type: "input_audio_buffer.cleared" });
      case "input_audio_buffer.commit": {
        if (audio === 0) return;
        say({ type: "input_audio_buffer.committed" });
        const transcript = `${audio} characters of sound`;
        audio = 0;
        return say({ transcript, type: "conversation.item.input_audio_transcription.completed" });
      }
      default:
        return fail(`Unknown message type: ${String(body["type"])}`);
    }
  };
  const take = (frame: Frame): void => {
    switch (frame.kind) {
      case "text":
      case "binary": {
        const text = frame.kind === "text" ? frame.text : frame.bytes.toString("utf8");
        socket.messages = [...socket.messages, text];
        log.changed(socket);
        return heard(text);
      }
      case "ping":
        return void upgraded.write(frameBytes(10, frame.bytes));
      case "close":
        socket.ended(frame.code);
        void upgraded.write(closeBytes(frame.code));
        return upgraded.end("fin");
      case "pong":
    }
  };
  const socket: MutableSocket = {
    ...about,
    messages: [],
    isSubscribed: () => isSubscribed && isAuthenticated,
    send: (text) => upgraded.write(frameBytes(1, Buffer.from(text))),
    close(code, reason) {
      void upgraded.write(closeBytes(code, reason));
    },
    cut: () => upgraded.end("rst"),
    pause: () => upgraded.pause(),
    resume: () => upgraded.resume(),
    closed: closed.promise,
    ended: (code: number) => closed.resolve(code),
  };
  return { socket, take };
}
