// The last lines of the server's log, live; or those of one request, which are asked for.
import type { LogLine } from "../../observe/log.ts";
import type { Board } from "./board.ts";
import { arrange, byId, el, put } from "./dom.ts";
import { clockTime } from "./format.ts";
import type { Server } from "./server.ts";

export interface LogView {
  draw(): void;
  /** Filters by a request's id, and takes the reader there. */
  show(id: string): void;
}

const MOST_SHOWN = 300;

export function createLogView(board: Board, server: Server): LogView {
  const list = byId("lines", HTMLOListElement);
  const none = byId("no-lines", HTMLElement);
  const field = byId("log-id", HTMLInputElement);
  const clear = byId("log-clear", HTMLButtonElement);
  const nodes = new Map<LogLine, HTMLElement>();
  /** Of the request that is filtered by, from before this page was opened. */
  let older: readonly LogLine[] = [];

  const shownLines = (): readonly LogLine[] => {
    const id = field.value.trim();
    if (id === "") return board.lines.slice(-MOST_SHOWN);
    const fits = (line: LogLine): boolean => String(line["request_id"] ?? "").startsWith(id);
    const known = new Set(older.map(keyOf));
    return [...older, ...board.lines.filter((line) => fits(line) && !known.has(keyOf(line)))];
  };

  const draw = (): void => {
    const shown = shownLines();
    const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    for (const line of shown) if (!nodes.has(line)) nodes.set(line, lineNode(line));
    for (const line of nodes.keys()) if (!shown.includes(line)) nodes.delete(line);
    arrange(
      list,
      shown.flatMap((line) => nodes.get(line) ?? []),
    );
    list.hidden = shown.length === 0;
    none.hidden = shown.length > 0;
    put(none, field.value === "" ? "No line yet." : "No line of that request is remembered.");
    clear.hidden = field.value === "";
    // Whoever reads further up is not pulled down.
    if (isAtEnd) list.scrollTop = list.scrollHeight;
  };

  const askOlder = async (id: string): Promise<void> => {
    older = [];
    if (id === "") return;
    try {
      const response = await server.ask(`/api/log?request_id=${encodeURIComponent(id)}`);
      if (response.ok && field.value.trim() === id) older = await response.json();
    } catch {
      // The connection's own notice says it.
    }
    draw();
  };
  field.oninput = () => {
    void askOlder(field.value.trim());
    draw();
  };
  clear.onclick = () => {
    field.value = "";
    older = [];
    draw();
    field.focus();
  };
  return {
    draw,
    show: (id) => {
      field.value = id;
      void askOlder(id);
      draw();
      field.focus();
      byId("h-log", HTMLElement).scrollIntoView();
    },
  };
}

const keyOf = ({ ts, event }: LogLine): string => `${ts} ${event}`;

export function lineNode({ ts, level, event, ...fields }: LogLine): HTMLElement {
  const words = Object.entries(fields).map(
    ([name, value]) => `${name}=${typeof value === "object" ? JSON.stringify(value) : String(value)}`,
  );
  return el(
    "li",
    { class: level },
    el("span", { class: "soft" }, clockTime(new Date(ts))),
    el("span", { class: "level" }, level),
    el("span", {}, el("b", {}, event), ` ${words.join("  ")}`),
  );
}
