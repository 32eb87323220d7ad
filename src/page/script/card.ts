// One slot as it is shown: a line while it is quiet, open while something happens or somebody opened it. Decides nothing
// about slots.
import type { RepairEntry } from "../../observe/repairs.ts";
import type { SlotSnapshot } from "../../slots/snapshot.ts";
import { type Board, canOrder, nowOn, timeOf } from "./board.ts";
import { el, enable, isEnabled, mark, put } from "./dom.ts";
import { duration, portOf } from "./format.ts";
import type { Orders } from "./orders.ts";
import { outcomeOf } from "./repairs.ts";
import { type Action, ACTIONS, doingOf, kindOf, wordOf } from "./words.ts";

export interface Card {
  readonly node: HTMLElement;
  draw(slot: SlotSnapshot): void;
}

const PAST = 3;
/** A repair keeps its slot open so long. */
const NEWS_MS = 60_000;

export function createCard(
  name: string,
  id: string,
  board: Board,
  orders: Orders,
  onAction: (action: Action) => void,
): Card {
  const texts = new Map<string, HTMLElement>();
  const fact = (label: string): HTMLElement => {
    const text = el("dd");
    texts.set(label, text);
    return el("div", {}, el("dt", {}, label), text);
  };
  const write = (label: string, text: string | number): void => {
    const node = texts.get(label);
    if (node) put(node, text);
  };
  const toggle = el(
    "button",
    { class: "toggle", "aria-controls": `${id}-more` },
    el("span", { id, class: "name", title: name }, name),
  );
  const state = el("span", { class: "state" }, el("span", { class: "dot", "aria-hidden": "true" }), el("span"));
  const since = el("span", { class: "soft" });
  const model = el("span", { class: "model mono soft" });
  const doing = el("span", { class: "doing" });
  const facts = el("dl", {}, ...["Port", "Answering", "Waiting", "Last load took", "Also called"].map(fact));
  const error = el("p");
  const refusal = el("p", { class: "error", role: "alert" });
  const past = el("ul", { class: "past", "aria-label": `Last repairs of ${name}` });
  const more = el("div", { class: "more", id: `${id}-more` }, facts, error, past);
  const acts = el("div", { class: "acts", role: "group", "aria-label": `Actions for ${name}` });
  const buttons = ACTIONS.map(([action, word]) => {
    const button = el("button", { "aria-label": `${word} ${name}` }, word);
    button.onclick = () => {
      if (isEnabled(button)) onAction(action);
    };
    acts.append(button);
    return [action, button] as const;
  });
  const head = el("h3", {}, toggle);
  const line = el("div", { class: "line" }, head, el("span", { class: "now" }, state, since), model, doing, acts);
  let hadNews = false;
  /** What somebody chose; null leaves it to what happens. */
  let chosen: boolean | null = null;

  const show = (hasNews: boolean): void => {
    // What is new is shown also where somebody closed it before.
    if (hasNews && !hadNews) chosen = null;
    hadNews = hasNews;
    const isOpen = chosen ?? (hasNews || more.contains(document.activeElement));
    toggle.setAttribute("aria-expanded", String(isOpen));
    more.hidden = !isOpen;
  };
  toggle.onclick = () => {
    chosen = toggle.getAttribute("aria-expanded") !== "true";
    show(hadNews);
  };

  const drawPast = (own: readonly RepairEntry[]): void => {
    past.hidden = own.length === 0;
    const newest = own.map(({ time }) => time).join();
    if (past.dataset["newest"] === newest) return;
    past.dataset["newest"] = newest;
    past.replaceChildren(
      ...own.map((repair) => {
        const took = el("span", { class: "soft" }, ` in ${duration(repair.duration_s)}`);
        const what = el("span", {}, `${repair.cause} → `, outcomeOf(repair), took);
        return el("li", {}, el("span", { class: "soft" }, timeOf(board, repair.time)), what);
      }),
    );
  };

  return {
    node: el("li", { class: "slot", "aria-labelledby": id }, line, refusal, more),
    draw: (slot) => {
      const kind = kindOf(slot.state);
      const isBusy = orders.isBusy(name);
      const own = board.repairs.filter((repair) => repair.slot === name).slice(0, PAST);
      mark(state, kind, wordOf(slot.state));
      put(since, duration(Math.max(1, Math.floor((nowOn(board) - Date.parse(slot.since)) / 1000)), 0));
      put(model, slot.model === slot.name ? "" : slot.model);
      put(doing, doingOf(slot));
      write("Port", portOf(slot.url) ?? "none");
      write("Answering", slot.in_flight);
      write("Waiting", slot.waiting);
      write("Last load took", slot.last_load_s === null ? "none yet" : duration(slot.last_load_s));
      write("Also called", slot.aliases.join(", ") || "nothing else");
      put(refusal, orders.refusal(name));
      put(error, slot.last_error ?? "");
      // That a model was evicted is told in the same field, and is nothing that the operator must mend.
      error.className = slot.state === "error" ? "error" : "note";
      // An order's refusal says the same in more words.
      error.hidden = !slot.last_error || refusal.textContent !== "";
      for (const [action, button] of buttons) {
        const fits = action === "load" ? slot.url === null : slot.url !== null;
        enable(button, canOrder(board) && kind !== "load" && !isBusy && fits);
      }
      drawPast(own);
      const newest = own[0] ? Date.parse(own[0].time) : -Infinity;
      show(kind === "load" || kind === "bad" || slot.waiting > 0 || nowOn(board) - newest < NEWS_MS);
    },
  };
}
