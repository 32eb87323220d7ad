// The status page's script: gives what the server tells to the views. The only place that wires.
import { createAsk } from "./ask.ts";
import { newBoard } from "./board.ts";
import { stayConnected } from "./connection.ts";
import { byId, mark, put, say } from "./dom.ts";
import { createHour } from "./hour.ts";
import { createRepairsTable, sentenceOf } from "./repairs.ts";
import { createServer, type Told } from "./server.ts";
import { createSlotList } from "./slots.ts";

/** Ages grow and the hour moves while nothing is told. */
const REDRAW_MS = 5000;
const MOST_REPAIRS = 200;
const MOST_TRANSITIONS = 500;

const board = newBoard();
const server = createServer();
const slots = createSlotList(board, server, createAsk());
const drawHour = createHour(board);
const drawRepairs = createRepairsTable(board);

const draw = (): void => {
  slots.draw();
  drawHour();
  drawRepairs();
};

const events: Told["events"] = {
  slot: slots.take,
  server: (next) => {
    const wasUp = board.status?.lemonade.up;
    board.status = next;
    const { up, version } = next.lemonade;
    const text = up === null ? "Lemonade not asked yet" : up ? `Lemonade ${version ?? ""} up` : "Lemonade is down";
    put(byId("version", HTMLElement), next.version);
    const lemonade = byId("lemonade", HTMLElement);
    lemonade.hidden = false;
    mark(lemonade, up === null ? "off" : up ? "up" : "bad", text);
    if (wasUp !== undefined && wasUp !== up) say(text);
    const isOk = next.status === "ok";
    if (board.isLive) mark(byId("link", HTMLElement), isOk ? "up" : "load", isOk ? "Live" : "Stopping");
    for (const name of board.slots.keys()) if (!next.slots.includes(name)) board.slots.delete(name);
    draw();
  },
  history: ({ since, transitions }) => {
    board.transitions = transitions;
    board.sinceMs = Date.parse(since);
    drawHour();
  },
  transition: (transition) => {
    board.transitions = [...board.transitions, transition].slice(-MOST_TRANSITIONS);
    drawHour();
  },
  repair: (repair) => {
    // It may have been in the list that was asked for when the feed began.
    if (board.repairs.some(({ time, slot }) => time === repair.time && slot === repair.slot)) return;
    board.repairs = [repair, ...board.repairs].slice(0, MOST_REPAIRS);
    draw();
    say(`${repair.slot}: ${sentenceOf(repair)}`);
  },
};

setInterval(() => {
  if (!board.isLive) return;
  slots.draw();
  drawHour();
}, REDRAW_MS);
draw();
void stayConnected({
  server,
  board,
  events,
  draw: slots.draw,
  onLive: async (ask) => {
    const past = await ask("/api/repairs");
    if (past.ok) board.repairs = await past.json();
    drawRepairs();
  },
  onForget: () => {
    Object.assign(board, newBoard());
    slots.clear();
  },
});
