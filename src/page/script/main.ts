// The status page's script: gives what the server tells to the views. The only place that wires.
import type { LogLine } from "../../observe/log.ts";
import type { RepairEntry } from "../../observe/repairs.ts";
import type { RequestRecord } from "../../observe/requests.ts";
import { createAsk } from "./ask.ts";
import { newBoard } from "./board.ts";
import { createChat } from "./chat.ts";
import { stayConnected } from "./connection.ts";
import { byId, coalesced, mark, put, say } from "./dom.ts";
import { createHeadline } from "./headline.ts";
import { createHour } from "./hour.ts";
import { createLogView } from "./log.ts";
import { createMetricsLink } from "./metrics.ts";
import { createModelTable } from "./models.ts";
import { createOrders } from "./orders.ts";
import { createRepairsTable, sentenceOf } from "./repairs.ts";
import { createRequestsTable } from "./requests.ts";
import { createServer, type Server, type Told } from "./server.ts";
import { createSlotList } from "./slots.ts";
import { createTheme } from "./theme.ts";
import { loadedKind } from "./words.ts";

/** Ages grow and the hour moves while nothing is told. */
const REDRAW_MS = 5000;
/** What a load would unload changes with every load; many changes at once are one question. */
const MODELS_MS = 500;
const MOST_RECORDS = 200;
const MOST_TRANSITIONS = 500;
const MOST_LINES = 1000;

const board = newBoard();
const server = createServer();
const ask = createAsk();
createTheme();
createMetricsLink(server);

const orders = createOrders(server, () => draw());
const slots = createSlotList(board, orders, ask);
const models = createModelTable(board, server, orders, ask);
const log = createLogView(board, server);
const chat = createChat(board, server, log.show);
const views = [
  slots.draw,
  models.draw,
  log.draw,
  chat.draw,
  createHeadline(board),
  createHour(board),
  createRequestsTable(board, log.show),
  createRepairsTable(board, log.show),
];
const draw = coalesced(() => {
  for (const view of views) view();
});

let asking = 0;
const modelsChanged = (): void => {
  clearTimeout(asking);
  asking = window.setTimeout(() => void models.refresh(), MODELS_MS);
};

const drawServer = (): void => {
  const { status } = board;
  if (!status) return;
  const { up, version } = status.lemonade;
  put(byId("version", HTMLElement), status.version);
  const lemonade = byId("lemonade", HTMLElement);
  lemonade.hidden = false;
  const text = up === null ? "Lemonade not asked yet" : up ? `Lemonade ${version ?? ""} up` : "Lemonade is down";
  mark(lemonade, up === null ? "off" : up ? "up" : "bad", text);
  byId("down", HTMLElement).hidden = up !== false || !board.isLive;
  put(byId("down-url", HTMLElement), status.lemonade_url);
  const isOk = status.status === "ok";
  if (board.isLive) mark(byId("link", HTMLElement), isOk ? "up" : "load", isOk ? "Live" : "Stopping");
};

const events: Told["events"] = {
  slot: (slot) => {
    const before = board.slots.get(slot.name);
    if (!before || loadedKind(before.state) !== loadedKind(slot.state)) modelsChanged();
    slots.take(slot);
    draw();
  },
  server: (next) => {
    const wasUp = board.status?.lemonade.up;
    board.status = next;
    drawServer();
    if (wasUp !== undefined && wasUp !== next.lemonade.up) {
      say(next.lemonade.up ? "Lemonade is up" : "Lemonade is down");
      modelsChanged();
    }
    for (const name of board.slots.keys()) if (!next.slots.includes(name)) board.slots.delete(name);
    draw();
  },
  history: ({ since, transitions }) => {
    board.transitions = transitions;
    board.sinceMs = Date.parse(since);
    draw();
  },
  transition: (transition) => {
    board.transitions = [...board.transitions, transition].slice(-MOST_TRANSITIONS);
    draw();
  },
  repair: (repair) => {
    // It may have been in the list that was asked for when the feed began; so may requests and lines.
    if (board.repairs.some(({ time, slot }) => time === repair.time && slot === repair.slot)) return;
    board.repairs = [repair, ...board.repairs].slice(0, MOST_RECORDS);
    draw();
    say(`${repair.slot}: ${sentenceOf(repair)}`);
  },
  request: (request) => {
    if (board.requests.some(({ at, request_id }) => at === request.at && request_id === request.request_id)) return;
    board.requests = [request, ...board.requests].slice(0, MOST_RECORDS);
    draw();
  },
  totals: (totals) => {
    board.totals = totals;
    draw();
  },
  log: ({ lines }) => {
    const newest = board.lines.at(-1)?.ts ?? "";
    const known = new Set(board.lines.filter(({ ts }) => ts === newest).map((line) => JSON.stringify(line)));
    const fresh = lines.filter((line) => line.ts > newest || (line.ts === newest && !known.has(JSON.stringify(line))));
    board.lines = [...board.lines, ...fresh].slice(-MOST_LINES);
    draw();
  },
};

/** What was before the feed began. */
const askPast = async (ask: Server["ask"]): Promise<void> => {
  const get = async <T>(path: string): Promise<readonly T[]> => {
    const response = await ask(path);
    return response.ok ? response.json() : [];
  };
  const [repairs, requests, lines] = await Promise.all([
    get<RepairEntry>("/api/repairs"),
    get<RequestRecord>("/api/requests"),
    get<LogLine>("/api/log"),
  ]);
  Object.assign(board, { repairs, requests, lines });
};

setInterval(() => {
  if (board.isLive) draw();
}, REDRAW_MS);
draw();
void stayConnected({
  server,
  board,
  events,
  draw: () => {
    drawServer();
    draw();
  },
  onLive: async (ask) => {
    await Promise.all([askPast(ask), models.refresh()]);
  },
  onForget: () => {
    Object.assign(board, newBoard());
    slots.clear();
  },
});
