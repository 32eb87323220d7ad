// The list of slots, and what an operator asks of one.
import type { SlotSnapshot } from "../../slots/snapshot.ts";
import type { createAsk } from "./ask.ts";
import { type Board, slotNames } from "./board.ts";
import { type Card, createCard } from "./card.ts";
import { arrange, byId, say } from "./dom.ts";
import type { Server } from "./server.ts";
import { type Action, ACTIONS, loadedKind, wordOf } from "./words.ts";

export interface SlotList {
  draw(): void;
  /** A slot as it is now; says it aloud where its state has changed. */
  take(slot: SlotSnapshot): void;
  clear(): void;
}

export function createSlotList(board: Board, server: Server, ask: ReturnType<typeof createAsk>): SlotList {
  const list = byId("slots", HTMLUListElement);
  const none = byId("no-slots", HTMLElement);
  const cards = new Map<string, Card>();

  const card = (name: string): Card => {
    const known = cards.get(name);
    if (known) return known;
    const made = createCard(name, `slot-${cards.size}`, board, (action) => confirm(name, action));
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
    none.hidden = slots.length > 0 || !board.isLive;
    const bad = slots.filter(({ state }) => state === "error").map(({ name }) => name);
    const news = !board.isLive && board.status ? "Connection lost" : bad.length > 0 ? `Error: ${bad.join(", ")}` : null;
    document.title = news === null ? "hal0-dispatch" : `${news} · hal0-dispatch`;
  };

  const confirm = (name: string, action: Action): void => {
    const [, word = "", consequence = ""] = ACTIONS.find(([known]) => known === action) ?? [];
    const flying = action === "load" ? 0 : (board.slots.get(name)?.in_flight ?? 0);
    const cut = flying > 0 ? `${flying} ${flying === 1 ? "request is" : "requests are"} in flight. ` : "";
    ask({
      title: `${word} ${name}?`,
      text: cut + consequence,
      yes: word,
      onYes: () => void act(name, action),
    });
  };

  const act = async (name: string, action: Action): Promise<void> => {
    const shown = card(name);
    shown.setBusy(true);
    shown.refuse("");
    draw();
    say(`${name}: ${action} asked for`);
    try {
      const response = await server.ask(`/api/slots/${encodeURIComponent(name)}/${action}`, { method: "POST" });
      const answer: { error?: { message?: string } } = await response.json();
      if (!response.ok) shown.refuse(answer.error?.message ?? `The server answered ${response.status}.`);
    } catch {
      shown.refuse("The answer was lost with the connection.");
    }
    shown.setBusy(false);
    draw();
  };

  return {
    draw,
    take: (slot) => {
      const before = board.slots.get(slot.name);
      board.slots.set(slot.name, slot);
      if (before?.generation !== slot.generation) card(slot.name).refuse("");
      draw();
      if (before && before.state !== slot.state && loadedKind(before.state) !== loadedKind(slot.state))
        say(`${slot.name}: ${wordOf(slot.state)}`);
    },
    clear: () => cards.clear(),
  };
}
