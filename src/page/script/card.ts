// One slot as it is shown: what it is doing, what it did last, and its buttons. Decides nothing about slots.
import type { SlotSnapshot } from "../../slots/snapshot.ts";
import { type Board, nowOn } from "./board.ts";
import { el, mark, put } from "./dom.ts";
import { duration, portOf } from "./format.ts";
import { outcomeOf, timeOf } from "./repairs.ts";
import { type Action, ACTIONS, kindOf, wordOf } from "./words.ts";

export interface Card {
  readonly node: HTMLElement;
  draw(slot: SlotSnapshot): void;
  /** An action was sent (its answer takes as long as the load), or has been answered. */
  setBusy(isBusy: boolean): void;
  /** Why an action was refused; "" takes it back. */
  refuse(why: string): void;
}

const PAST = 3;

export function createCard(name: string, id: string, board: Board, onAction: (action: Action) => void): Card {
  const texts = new Map<string, HTMLElement>();
  const fact = (label: string): HTMLElement => {
    const text = el("dd");
    texts.set(label, text);
    return el("div", {}, el("dt", {}, label), text);
  };
  const state = el("span", { class: "state" }, el("span", { class: "dot", "aria-hidden": "true" }), el("span"));
  const since = el("span", { class: "soft" });
  const model = el("span", { class: "model mono soft" });
  const head = el("div", { class: "head" }, el("h3", { id }, name), state, since, model);
  const facts = el("dl", {}, fact("Port"), fact("In flight"), fact("Waiting"), fact("Last load took"));
  const error = el("p");
  const refusal = el("p", { class: "error", role: "alert" });
  const past = el("ul", { class: "past", "aria-label": `Last repairs of ${name}` });
  const acts = el("div", { class: "acts", role: "group", "aria-label": `Actions for ${name}` });
  const buttons = ACTIONS.map(([action, word]) => {
    const button = el("button", { "aria-label": `${word} ${name}` }, word);
    button.onclick = () => {
      if (button.getAttribute("aria-disabled") !== "true") onAction(action);
    };
    acts.append(button);
    return [action, button] as const;
  });
  let isBusy = false;

  const drawPast = (): void => {
    const own = board.repairs.filter(({ slot }) => slot === name).slice(0, PAST);
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
  const write = (label: string, text: string | number): void => {
    const node = texts.get(label);
    if (node) put(node, text);
  };

  return {
    node: el("li", { class: "slot", "aria-labelledby": id }, head, facts, acts, error, refusal, past),
    draw: (slot) => {
      mark(state, kindOf(slot.state), wordOf(slot.state));
      put(model, slot.model === slot.name ? "" : slot.model);
      write("Port", portOf(slot.url) ?? "none");
      write("In flight", slot.in_flight);
      write("Waiting", slot.waiting);
      write("Last load took", slot.last_load_s === null ? "none yet" : duration(slot.last_load_s));
      put(since, duration(Math.max(1, Math.floor((nowOn(board) - Date.parse(slot.since)) / 1000)), 0));
      put(error, slot.last_error ?? "");
      // That a model was evicted is told in the same field, and is nothing that the operator must mend.
      error.className = slot.state === "error" ? "error" : "note";
      // An action's refusal says the same in more words.
      error.hidden = !slot.last_error || refusal.textContent !== "";
      const isMoving = kindOf(slot.state) === "load";
      for (const [action, button] of buttons) {
        const fits = action === "load" ? slot.url === null : slot.url !== null;
        button.setAttribute("aria-disabled", String(!board.isLive || isMoving || isBusy || !fits));
      }
      drawPast();
    },
    setBusy: (next) => {
      isBusy = next;
    },
    refuse: (why) => put(refusal, why),
  };
}
