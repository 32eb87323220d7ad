// The table of repairs, newest first.
import type { RepairEntry } from "../../observe/repairs.ts";
import { type Board, timeOf } from "./board.ts";
import { requestIdNode } from "./copy.ts";
import { arrange, byId, cell, el, numberCell, put } from "./dom.ts";
import { duration, portOf } from "./format.ts";

const FEW = 10;

export const outcomeOf = ({ outcome }: RepairEntry): HTMLElement =>
  el("span", outcome === "failed" ? { class: "failed" } : {}, outcome);

export const sentenceOf = ({ cause, outcome, duration_s }: RepairEntry): string =>
  `${cause}, ${outcome} in ${duration(duration_s)}`;

/** Draws the table. */
export function createRepairsTable(board: Board, onShow: (id: string) => void): () => void {
  const table = byId("repair-table", HTMLTableElement);
  const more = byId("more", HTMLButtonElement);
  const rows = new Map<RepairEntry, HTMLElement>();
  let isAll = false;

  const rowOf = (repair: RepairEntry): HTMLElement =>
    el(
      "tr",
      { role: "row" },
      cell("time", timeOf(board, repair.time)),
      cell("name", repair.slot),
      cell("cause", repair.cause),
      cell("word", outcomeOf(repair)),
      numberCell("took", duration(repair.duration_s)),
      cell("way", wayOf(repair)),
      cell("last", repair.request_id === null ? "" : requestIdNode(repair.request_id, onShow)),
    );

  const draw = (): void => {
    const shown = isAll ? board.repairs : board.repairs.slice(0, FEW);
    for (const repair of shown) if (!rows.has(repair)) rows.set(repair, rowOf(repair));
    for (const repair of rows.keys()) if (!shown.includes(repair)) rows.delete(repair);
    const body = table.tBodies[0];
    if (body)
      arrange(
        body,
        shown.flatMap((repair) => rows.get(repair) ?? []),
      );
    table.hidden = board.repairs.length === 0;
    byId("no-repairs", HTMLElement).hidden = board.repairs.length > 0;
    more.hidden = isAll || board.repairs.length <= FEW;
    put(more, `Show all ${board.repairs.length}`);
  };
  more.onclick = () => {
    isAll = true;
    draw();
  };
  return draw;
}

/** Ports before and after. */
function wayOf({ from, to }: RepairEntry): string {
  if (!from && !to) return "";
  const [before, after] = [portOf(from) ?? "none", portOf(to) ?? "none"];
  return before === after ? `port ${before}` : `port ${before} → ${after}`;
}
