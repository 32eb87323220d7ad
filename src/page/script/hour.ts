// The last hour: a lane of states for each slot with a mark for each repair, and the same as a list.
import type { RepairEntry } from "../../observe/repairs.ts";
import { type Board, nowOn, slotNames, timeOf } from "./board.ts";
import { byId, el } from "./dom.ts";
import { clockTime, many } from "./format.ts";
import { sentenceOf } from "./repairs.ts";
import { loadedKind, wordOf } from "./words.ts";

const HOUR_MS = 3_600_000;
const TICKS_MIN = [60, 45, 30, 15, 0];
/** Repairs closer than this are one mark with their number: side by side they would be one dark block. */
const CLUSTER_MS = 60_000;

/** Draws both. */
export function createHour(board: Board): () => void {
  const lanes = byId("lanes", HTMLElement);
  const list = byId("list", HTMLOListElement);

  return () => {
    const endMs = nowOn(board);
    const startMs = endMs - HOUR_MS;
    const percent = (ms: number): string => `${Math.min(100, Math.max(0, ((ms - startMs) / HOUR_MS) * 100))}%`;
    const recent = board.repairs.filter(({ time }) => Date.parse(time) >= startMs);

    const laneOf = (name: string): HTMLElement => {
      const track = el("div", { class: "track" });
      const own = board.transitions.filter(({ slot }) => slot === name);
      let state = own[0]?.from ?? board.slots.get(name)?.state ?? "offline";
      let atMs = Math.max(startMs, board.sinceMs);
      const bar = (untilMs: number): void => {
        if (untilMs <= atMs) return;
        const node = el("i", { class: loadedKind(state), title: `${wordOf(state)} from ${clockTime(new Date(atMs))}` });
        node.style.left = percent(atMs);
        node.style.width = `calc(${percent(untilMs)} - ${percent(atMs)})`;
        track.append(node);
        atMs = untilMs;
      };
      for (const move of own) {
        bar(Date.parse(move.time));
        state = move.to;
      }
      bar(endMs);
      for (const cluster of clustersOf(recent.filter(({ slot }) => slot === name))) {
        const [newest] = cluster;
        if (!newest) continue;
        const what = cluster.length === 1 ? sentenceOf(newest) : many(cluster.length, "repair");
        const node = el("b", { title: `${clockTime(new Date(newest.time))} ${what}` });
        if (cluster.length > 1) node.append(el("span", {}, String(cluster.length)));
        node.style.left = percent(Date.parse(newest.time));
        track.append(node);
      }
      return el("div", { class: "lane" }, el("span", { title: name }, name), track);
    };

    const axis = el("div", { class: "track" });
    for (const minutes of TICKS_MIN) {
      const atMs = endMs - minutes * 60_000;
      const tick = el("span", {}, minutes > 0 ? clockTime(new Date(atMs), false) : "now");
      tick.style.left = percent(atMs);
      axis.append(tick);
    }
    const names = board.status ? slotNames(board) : [];
    byId("past-hour", HTMLElement).hidden = names.length === 0;
    lanes.replaceChildren(...names.map(laneOf), el("div", { class: "lane axis" }, el("span"), axis));

    const moves = board.transitions.filter(({ time }) => Date.parse(time) >= startMs);
    const happened = [
      ...moves.map(({ time, slot, from, to }) => ({ time, text: `${slot}: ${wordOf(from)} → ${wordOf(to)}` })),
      ...recent.map((repair) => ({ time: repair.time, text: `${repair.slot}: ${sentenceOf(repair)}` })),
    ].sort((a, b) => b.time.localeCompare(a.time));
    lanes.setAttribute(
      "aria-label",
      `${many(moves.length, "change")} of state and ${many(recent.length, "repair")} in the last hour; the list below names them.`,
    );
    const newest = happened[0]?.time ?? "";
    if (list.childElementCount === happened.length && list.dataset["newest"] === newest) return;
    list.dataset["newest"] = newest;
    list.replaceChildren(
      ...happened.map(({ time, text }) =>
        el("li", {}, el("span", { class: "soft" }, timeOf(board, time)), el("span", {}, text)),
      ),
    );
  };
}

/** Repairs of one slot, newest first, as they come: those close to the one before are with it. */
function clustersOf(repairs: readonly RepairEntry[]): RepairEntry[][] {
  const clusters: RepairEntry[][] = [];
  for (const repair of repairs) {
    const last = clusters.at(-1);
    const first = last?.[0];
    if (last && first && Date.parse(first.time) - Date.parse(repair.time) < CLUSTER_MS) last.push(repair);
    else clusters.push([repair]);
  }
  return clusters;
}
