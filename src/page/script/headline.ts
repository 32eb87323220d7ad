// What the server did for its users, today and in the last seven days.
import type { Totals } from "../../observe/totals.ts";
import type { Board } from "./board.ts";
import { byId, el } from "./dom.ts";
import { count, duration } from "./format.ts";

/** Draws it. */
export function createHeadline(board: Board): () => void {
  const node = byId("did", HTMLElement);
  let shown = "";
  return () => {
    const { totals } = board;
    const text = JSON.stringify(totals);
    if (totals === null || text === shown) return;
    shown = text;
    node.replaceChildren(periodOf("Today", totals.today), periodOf("Last 7 days", totals.week));
  };
}

function periodOf(name: string, totals: Totals): HTMLElement {
  const { served, recovered, continued, fell_back, waited_ms } = totals;
  const saved = recovered + continued + fell_back;
  const ways = [
    [recovered, "recovered"],
    [continued, "continued"],
    [fell_back, "fell back"],
  ] as const;
  const how = ways.filter(([n]) => n > 0).map(([n, word]) => `${count(n)} ${word}`);
  const figure = (value: string, label: string): HTMLElement => el("div", {}, el("dt", {}, label), el("dd", {}, value));
  return el(
    "div",
    { class: "sheet period" },
    el("h3", {}, name),
    el(
      "dl",
      {},
      figure(count(served), "answered"),
      figure(count(saved), how.length > 0 ? `saved: ${how.join(", ")}` : "saved"),
      figure(duration(waited_ms / 1000), "people waited"),
    ),
  );
}
