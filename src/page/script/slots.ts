// The list of slots, and the question before an operator's order for one.
import type { SlotSnapshot } from "../../slots/snapshot.ts";
import type { createAsk } from "./ask.ts";
import { type Board, slotNames } from "./board.ts";
import { type Card, createCard } from "./card.ts";
import { arrange, byId, put, say } from "./dom.ts";
import { many } from "./format.ts";
import { costOf } from "./models.ts";
import type { Orders } from "./orders.ts";
import { type Action, ACTIONS, loadedKind, wordOf } from "./words.ts";

export interface SlotList {
  draw(): void;
  /** A slot as it is now; says it aloud where its state has changed. */
  take(slot: SlotSnapshot): void;
  clear(): void;
}

export function createSlotList(board: Board, orders: Orders, ask: ReturnType<typeof createAsk>): SlotList {
  const list = byId("slots", HTMLUListElement);
  const none = byId("no-slots", HTMLElement);
  const cards = new Map<string, Card>();
  put(byId("base-url", HTMLElement), `${location.origin}/v1`);

  const card = (name: string): Card => {
    const known = cards.get(name);
    if (known) return known;
    const made = createCard(name, `slot-${cards.size}`, board, orders, (action) => confirm(name, action));
    cards.set(name, made);
    return made;
  };

  const draw = (): void => {
    const slots = slotNames(board).flatMap((name) => board.slots.get(name) ?? []);
    for (const slot of slots) card(slot.name).draw(slot);
    arrange(
      list,
      slots.map(({ name }) => card(name).node),
    );
    list.hidden = slots.length === 0;
    none.hidden = slots.length > 0 || !board.isLive;
    const bad = slots.filter(({ state }) => state === "error").map(({ name }) => name);
    const news = !board.isLive && board.status ? "Connection lost" : bad.length > 0 ? `Error: ${bad.join(", ")}` : null;
    document.title = news === null ? "hal0-dispatch" : `${news} · hal0-dispatch`;
  };

  /** Of a load: what Lemonade unloads for it. Of the others: who is cut off. */
  const textOf = (name: string, action: Action, consequence: string): string => {
    const slot = board.slots.get(name);
    if (action === "load") {
      const entry = board.models?.find(({ slot, model }) => slot === name || model === name);
      return entry ? costOf(entry) : "Lemonade may unload another model of the same kind to make room.";
    }
    const flying = slot?.in_flight ?? 0;
    return `${flying > 0 ? `${many(flying, "request is", "requests are")} being answered. ` : ""}${consequence}`;
  };

  const confirm = (name: string, action: Action): void => {
    const [, word = "", consequence = ""] = ACTIONS.find(([known]) => known === action) ?? [];
    ask({
      title: `${word} ${name}?`,
      text: textOf(name, action, consequence),
      yes: word,
      onYes: () => void orders.send(name, action),
    });
  };

  return {
    draw,
    take: (slot) => {
      const before = board.slots.get(slot.name);
      board.slots.set(slot.name, slot);
      if (before?.generation !== slot.generation) orders.forget(slot.name);
      draw();
      if (before && before.state !== slot.state && loadedKind(before.state) !== loadedKind(slot.state))
        say(`${slot.name}: ${wordOf(slot.state)}`);
    },
    clear: () => cards.clear(),
  };
}
