// Every model that Lemonade knows, with a button that loads it; what that would unload is said before.
import type { ModelEntry } from "../../http/seen-api.ts";
import type { createAsk } from "./ask.ts";
import { type Board, canOrder } from "./board.ts";
import { arrange, byId, cell, el, enable, isEnabled, put } from "./dom.ts";
import type { Orders } from "./orders.ts";
import type { Server } from "./server.ts";

export interface ModelTable {
  draw(): void;
  /** Asks the server anew. */
  refresh(): Promise<void>;
}

const FEW = 8;
const KINDS: Readonly<Record<string, string>> = { llm: "chat", tts: "speech", transcription: "speech to text" };

/** What lemond does to make room, in a sentence that one reads before the load. */
export function costOf({ evicts, downloaded }: ModelEntry): string {
  const room =
    evicts.length === 0 ? "There is room for it." : `Lemonade will unload ${evicts.join(" and ")} to make room.`;
  const download = downloaded ? "" : " It is downloaded first.";
  return `${room}${download} If it cannot be loaded, Lemonade unloads the other models too and tries again.`;
}

export function createModelTable(
  board: Board,
  server: Server,
  orders: Orders,
  ask: ReturnType<typeof createAsk>,
): ModelTable {
  const table = byId("model-table", HTMLTableElement);
  const none = byId("no-models", HTMLElement);
  const more = byId("more-models", HTMLButtonElement);
  const filter = byId("of-model", HTMLInputElement);
  const rows = new Map<string, ReturnType<typeof createRow>>();
  let isAll = false;

  const createRow = (model: string) => {
    const kind = cell("name soft");
    const state = cell("word");
    const cost = cell("cause soft");
    const button = el("button", { "aria-label": `Load ${model}` }, "Load");
    const node = el("tr", { role: "row" }, cell("model mono", model), kind, state, cost, cell("last", button));
    button.onclick = () => {
      const entry = board.models?.find((known) => known.model === model);
      if (!isEnabled(button) || !entry) return;
      const onYes = (): void => void orders.send(entry.slot ?? model, "load");
      ask({ title: `Load ${model}?`, text: costOf(entry), yes: "Load", onYes });
    };
    const draw = (entry: ModelEntry): void => {
      const slot = entry.slot === null ? undefined : board.slots.get(entry.slot);
      const isBusy = orders.isBusy(entry.slot ?? model);
      const size = entry.size_gb === null ? "" : `, ${entry.size_gb} GB`;
      put(kind, `${KINDS[entry.type] ?? entry.type}${size}`);
      put(state, entry.loaded ? "loaded" : isBusy ? "loading" : entry.downloaded ? "not loaded" : "not downloaded");
      const unloads = entry.evicts.length === 0 ? "" : entry.evicts.join(", ");
      const refusal = slot ? "" : orders.refusal(model);
      put(cost, refusal || unloads);
      cost.classList.toggle("failed", refusal !== "");
      enable(button, canOrder(board) && !entry.loaded && !isBusy && slot?.state !== "starting");
    };
    return { node, draw };
  };

  const draw = (): void => {
    const wanted = filter.value.trim().toLowerCase();
    const all = (board.models ?? []).toSorted((a, b) => Number(b.loaded) - Number(a.loaded));
    const fitting = all.filter(({ model }) => model.toLowerCase().includes(wanted));
    const shown = isAll ? fitting : fitting.slice(0, FEW);
    const nodes = shown.map((entry) => {
      const row = rows.get(entry.model) ?? createRow(entry.model);
      rows.set(entry.model, row);
      row.draw(entry);
      return row.node;
    });
    const body = table.tBodies[0];
    if (body) arrange(body, nodes);
    table.hidden = nodes.length === 0;
    none.hidden = nodes.length > 0;
    put(none, board.models === null ? "Lemonade does not say which models it has." : "No model fits.");
    more.hidden = isAll || fitting.length <= FEW;
    put(more, `Show all ${fitting.length}`);
  };
  more.onclick = () => {
    isAll = true;
    draw();
  };
  filter.oninput = draw;

  return {
    draw,
    refresh: async () => {
      try {
        const response = await server.ask("/api/models");
        board.models = response.ok ? await response.json() : null;
      } catch {
        return; // The connection's own notice says it; what is known stays.
      }
      draw();
    },
  };
}
