// The table of repairs, newest first.
import type { RepairEntry } from "../../observe/repairs.ts";
import { type Board, nowOn } from "./board.ts";
import { byId, el, put } from "./dom.ts";
import { dayAndTime, duration, portOf } from "./format.ts";

const FEW = 10;

export const timeOf = (board: Board, iso: string): HTMLElement =>
  el("time", { datetime: iso }, dayAndTime(new Date(iso), new Date(nowOn(board))));

export const outcomeOf = ({ outcome }: RepairEntry): HTMLElement =>
  el("span", outcome === "failed" ? { class: "failed" } : {}, outcome);

export const sentenceOf = ({ cause, outcome, duration_s }: RepairEntry): string =>
  `${cause}, ${outcome} in ${duration(duration_s)}`;

/** Draws the table. */
export function createRepairsTable(board: Board): () => void {
  const table = byId("repair-table", HTMLTableElement);
  const none = byId("no-repairs", HTMLElement);
  const more = byId("more", HTMLButtonElement);
  let isAll = false;

  const cell = (content: Node | string, name = ""): HTMLElement => el("td", { role: "cell", class: name }, content);
  const rowOf = (repair: RepairEntry): HTMLElement =>
    el(
      "tr",
      { role: "row" },
      cell(timeOf(board, repair.time), "time"),
      cell(repair.slot),
      cell(repair.cause, "cause"),
      cell(outcomeOf(repair), "outcome"),
      cell(duration(repair.duration_s), "num"),
      cell(wayOf(repair), "way"),
      cell(repair.request_id ?? "", "id mono soft"),
    );

  const draw = (): void => {
    const shown = isAll ? board.repairs : board.repairs.slice(0, FEW);
    table.tBodies[0]?.replaceChildren(...shown.map(rowOf));
    table.hidden = board.repairs.length === 0;
    none.hidden = board.repairs.length > 0;
    more.hidden = isAll || board.repairs.length <= FEW;
    put(more, `Show all ${board.repairs.length}`);
  };
  more.onclick = () => {
    isAll = true;
    draw();
  };
  return draw;
}

function wayOf({ from, to }: RepairEntry): string {
  return from || to ? `${portOf(from) ?? "none"} → ${portOf(to) ?? "none"}` : "";
}
