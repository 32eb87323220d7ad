// The table of the last requests, live: filtered by slot and by what went wrong.
import type { RequestRecord } from "../../observe/requests.ts";
import { type Board, timeOf } from "./board.ts";
import { requestIdNode } from "./copy.ts";
import { arrange, byId, cell, el, numberCell, put } from "./dom.ts";
import { count, milliseconds } from "./format.ts";
import { marksOf, statusWords, wentWrong } from "./words.ts";

const FEW = 10;

/** Draws the table. */
export function createRequestsTable(board: Board, onShow: (id: string) => void): () => void {
  const table = byId("request-table", HTMLTableElement);
  const none = byId("no-requests", HTMLElement);
  const more = byId("more-requests", HTMLButtonElement);
  const upstreams = byId("of-slot", HTMLSelectElement);
  const wrongOnly = byId("wrong-only", HTMLInputElement);
  const rows = new Map<RequestRecord, HTMLElement>();
  let isAll = false;

  const rowOf = (request: RequestRecord): HTMLElement => {
    const marks = marksOf(request).map((text) => el("span", { class: "mark" }, text));
    const status = el("span", wentWrong(request) ? { class: "failed" } : {}, statusWords(request));
    const { model, upstream, prompt_tokens, completion_tokens, tokens_per_second } = request;
    return el(
      "tr",
      { role: "row" },
      cell("time", timeOf(board, request.at)),
      cell(
        "name",
        upstream ?? "nobody",
        ...(model && model !== upstream ? [el("span", { class: "soft" }, ` as ${model}`)] : []),
      ),
      cell("word", status, ...marks.flatMap((mark) => [" ", mark])),
      numberCell("waited", milliseconds(request.waited_ms === 0 ? null : request.waited_ms)),
      numberCell("first word", milliseconds(request.first_byte_ms)),
      numberCell("tokens", tokensOf(prompt_tokens, completion_tokens)),
      numberCell("", tokens_per_second === null ? "" : `${count(Math.round(tokens_per_second * 10) / 10)}/s`),
      numberCell("took", milliseconds(request.took_ms)),
      cell("last", requestIdNode(request.request_id, onShow)),
    );
  };

  const drawChoice = (): void => {
    const names = [...new Set([...board.slots.keys(), ...board.requests.flatMap(({ upstream }) => upstream ?? [])])];
    if (names.length === upstreams.options.length - 1) return;
    const chosen = upstreams.value;
    const options = names.toSorted().map((name) => el("option", { value: name }, name));
    upstreams.replaceChildren(el("option", { value: "" }, "every slot"), ...options);
    upstreams.value = names.includes(chosen) ? chosen : "";
  };

  const draw = (): void => {
    drawChoice();
    const fitting = board.requests.filter(
      (request) =>
        (upstreams.value === "" || request.upstream === upstreams.value) && (!wrongOnly.checked || wentWrong(request)),
    );
    const shown = isAll ? fitting : fitting.slice(0, FEW);
    for (const request of shown) if (!rows.has(request)) rows.set(request, rowOf(request));
    for (const request of rows.keys()) if (!board.requests.includes(request)) rows.delete(request);
    const body = table.tBodies[0];
    if (body)
      arrange(
        body,
        shown.flatMap((request) => rows.get(request) ?? []),
      );
    table.hidden = shown.length === 0;
    none.hidden = shown.length > 0;
    put(none, board.requests.length === 0 ? "None yet." : "None of the last 200 fits.");
    more.hidden = isAll || fitting.length <= FEW;
    put(more, `Show all ${fitting.length}`);
  };
  more.onclick = () => {
    isAll = true;
    draw();
  };
  upstreams.onchange = draw;
  wrongOnly.onchange = draw;
  return draw;
}

function tokensOf(prompt: number | null, completion: number | null): string {
  if (prompt === null && completion === null) return "";
  return `${prompt === null ? "?" : count(prompt)} → ${completion === null ? "?" : count(completion)}`;
}
