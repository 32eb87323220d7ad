// Try it: a chat with any model, streamed, and where its time went. Nothing of it is kept but in this tab.
import type { Board } from "./board.ts";
import { heardIn } from "./answer.ts";
import { byId, el, put } from "./dom.ts";
import { many, milliseconds } from "./format.ts";
import type { Server } from "./server.ts";
import { marksOf, statusWords } from "./words.ts";

export interface Chat {
  /** The choice of models, and the timeline of the last question once it is recorded. */
  draw(): void;
}

export function createChat(board: Board, server: Server, onShow: (id: string) => void): Chat {
  const form = byId("chat", HTMLFormElement);
  const model = byId("chat-model", HTMLSelectElement);
  const prompt = byId("prompt", HTMLTextAreaElement);
  const sendButton = byId("send", HTMLButtonElement);
  const stopButton = byId("stop", HTMLButtonElement);
  const said = byId("answer", HTMLElement);
  const state = byId("chat-state", HTMLElement);
  const timeline = byId("timeline", HTMLElement);
  let abort: AbortController | null = null;
  let requestId: string | null = null;

  const drawChoice = (): void => {
    const names = new Set([
      ...board.slots.keys(),
      ...(board.models ?? []).flatMap(({ model, slot }) => (slot ? [] : model)),
    ]);
    if (names.size === model.options.length) return;
    const chosen = model.value;
    model.replaceChildren(...[...names].map((name) => el("option", { value: name }, name)));
    if (names.has(chosen)) model.value = chosen;
  };

  const drawTimeline = (): void => {
    const record = board.requests.find(({ request_id }) => request_id === requestId);
    if (!record || timeline.dataset["of"] === record.request_id) return;
    timeline.dataset["of"] = record.request_id;
    const { waited_ms, first_byte_ms, took_ms, completion_tokens, tokens_per_second } = record;
    const waitedMs = waited_ms ?? 0;
    const firstMs = first_byte_ms ?? took_ms;
    const part = (kind: string, ms: number): HTMLElement => {
      const node = el("i", { class: kind });
      node.style.width = `${took_ms === 0 ? 0 : (ms / took_ms) * 100}%`;
      return node;
    };
    const parts = [
      part("load", waitedMs),
      part("busy", Math.max(0, firstMs - waitedMs)),
      part("up", took_ms - firstMs),
    ];
    const speed = tokens_per_second === null ? "" : `, ${tokens_per_second}/s`;
    const words = [
      ...(waitedMs > 0 ? [`waited ${milliseconds(waitedMs)}`] : []),
      ...(first_byte_ms === null ? [] : [`first word after ${milliseconds(first_byte_ms)}`]),
      ...(completion_tokens === null ? [] : [`${many(completion_tokens, "token")}${speed}`]),
      `took ${milliseconds(took_ms)}`,
      statusWords(record),
      ...marksOf(record),
    ];
    const log = el("button", { class: "plain", type: "button" }, "its log");
    log.onclick = () => onShow(record.request_id);
    timeline.replaceChildren(
      el("div", { class: "bar", "aria-hidden": "true" }, ...parts),
      el("p", {}, `${words.join(" · ")} · `, log),
    );
    timeline.hidden = false;
  };

  const hear = async (response: Response): Promise<void> => {
    if (!response.ok || !response.body) {
      const { error }: { error?: { message?: string } } = await response.json();
      return fail(error?.message ?? `The server answered ${response.status}.`);
    }
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let text = ""; ;) {
      const { done, value } = await reader.read();
      if (done) return;
      const whole = (text + value).split("\n\n");
      text = whole.pop() ?? "";
      for (const event of whole) {
        const heard = heardIn(event);
        if (heard?.kind === "error") fail(heard.text);
        else if (heard?.kind === "waiting") put(state, heard.text);
        else if (heard) add(heard.kind, heard.text);
      }
    }
  };
  /** Thought and text each in a piece of their own, in the order in which they come. */
  const add = (kind: string, text: string): void => {
    put(state, "");
    const last = said.lastElementChild;
    if (last?.className === kind) last.append(text);
    else said.append(el("span", { class: kind }, text));
  };
  const fail = (text: string): void => {
    put(state, "");
    said.append(el("span", { class: "failed" }, text));
  };

  const send = async (question: string): Promise<void> => {
    abort = new AbortController();
    requestId = `page-${crypto.getRandomValues(new Uint32Array(1))[0]?.toString(16) ?? "0"}`;
    said.replaceChildren();
    timeline.hidden = true;
    put(state, "Sent.");
    sendButton.hidden = true;
    stopButton.hidden = false;
    stopButton.focus();
    const body = JSON.stringify({ model: model.value, stream: true, messages: [{ role: "user", content: question }] });
    const headers = { "content-type": "application/json", "x-request-id": requestId };
    try {
      await hear(await server.ask("/v1/chat/completions", { method: "POST", headers, body, signal: abort.signal }));
      put(state, said.textContent === "" ? "The answer was empty." : "");
    } catch {
      put(state, abort.signal.aborted ? "Stopped." : "The connection was lost.");
    }
    abort = null;
    const hadFocus = document.activeElement === stopButton;
    stopButton.hidden = true;
    sendButton.hidden = false;
    if (hadFocus) prompt.focus();
  };

  form.onsubmit = (event) => {
    event.preventDefault();
    if (abort !== null || prompt.value.trim() === "") return;
    if (model.value === "") put(state, "There is no model to ask yet.");
    else void send(prompt.value);
  };
  prompt.onkeydown = (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  };
  stopButton.onclick = () => abort?.abort();

  return {
    draw: () => {
      drawChoice();
      drawTimeline();
    },
  };
}
