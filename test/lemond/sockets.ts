// lemond's WebSockets on its own port: realtime speech, logs, spans (websocket_server.cpp, upgradable_http_server.h). The key may
// come as a header, in the query, as a subprotocol, or for spans in a first message.
import type { ControlContext } from "./answers.ts";
import type { Exchange } from "./http-peer.ts";
import { createSession, type SocketKind, type SocketLog } from "./socket-session.ts";
import type { LemondSocket } from "./types.ts";
import { createFrameReader } from "./ws-frames.ts";

const kindOf = (path: string): SocketKind | undefined => {
  const bare = path.replace(/^\/(?:api\/)?v[01](?=\/)/, "");
  if (bare === "/realtime") return "realtime";
  if (bare === "/logs/stream") return "logs";
  return bare === "/spans/stream" || bare === "/traces/stream" ? "spans" : undefined;
};

/** A socket's upgrade; what merely asks for such a path is an ordinary request. */
export const isUpgrade = ({ method, headers, path }: Exchange): boolean =>
  method === "GET" && headers["upgrade"]?.toLowerCase() === "websocket" && kindOf(path) !== undefined;

const appProtocol = "lemonade-realtime";

/** The status: 101, or 0 where lemond closes without a word. */
export function openSocket(exchange: Exchange, context: ControlContext, log: SocketLog): number {
  const { headers, path, target } = exchange;
  const kind = kindOf(path) ?? "realtime";
  const { apiKey = "", adminKey = apiKey } = context;
  const credential = credentialOf(exchange);
  const isKey = (key: string): boolean => apiKey === "" || key === apiKey || (adminKey !== "" && key === adminKey);
  const isIn = apiKey === "" || (credential !== undefined && isKey(credential.key));
  if (isForeign(headers) || (!isIn && (kind !== "spans" || credential !== undefined))) {
    exchange.cut("fin");
    return 0;
  }
  const offered = (headers["sec-websocket-protocol"] ?? "").split(",").map((one) => one.trim());
  const accept = new Bun.CryptoHasher("sha1")
    .update(`${headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest("base64");
  const protocol = offered.includes(appProtocol) ? [`Sec-WebSocket-Protocol: ${appProtocol}`] : [];
  const head = ["HTTP/1.1 101 Switching Protocols", "Upgrade: WebSocket", "Connection: Upgrade"];
  void exchange.write([...head, `Sec-WebSocket-Accept: ${accept}`, ...protocol, "", ""].join("\r\n"));

  const reader = createFrameReader();
  const upgraded = exchange.upgrade((bytes) => {
    for (const frame of reader.feed(bytes)) take(frame);
  });
  const about = { path: target, headers, credential };
  const { socket, take } = createSession({ kind, isIn, isKey, about, upgraded, log });
  log.add(socket);
  exchange.onGone(() => socket.ended(1006));
  if (kind === "realtime") void socket.send(JSON.stringify({ type: "session.created", session: { id: "sess_1" } }));
  return 101;
}

function credentialOf({ headers, target }: Exchange): LemondSocket["credential"] {
  const header = headers["authorization"];
  if (header !== undefined) return { way: "header", key: header.replace(/^Bearer /, "") };
  const query = new URLSearchParams(target.split("?")[1] ?? "").get("api_key");
  if (query !== null) return { way: "query", key: query.replace(/^Bearer /, "") };
  const encoded = /bearer\.([\w-]+)/.exec(headers["sec-websocket-protocol"] ?? "")?.[1];
  if (encoded === undefined) return undefined;
  return { way: "subprotocol", key: Buffer.from(encoded, "base64url").toString("utf8") };
}

/** Its own host, or this machine. */
function isForeign(headers: Readonly<Record<string, string>>): boolean {
  const host = (text: string | undefined): string => (text ?? "").replace(/^\w+:\/\//, "").replace(/:\d+$/, "");
  if (headers["origin"] === undefined) return false;
  const origin = host(headers["origin"]);
  return !["localhost", "127.0.0.1", "[::1]"].includes(origin) && origin !== host(headers["host"]);
}
