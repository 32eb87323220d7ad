// Asking a simulated llama-server, and reading what its streams say: for the tests of continuation.
import type { Child } from "./index.ts";

export type Json = Readonly<Record<string, unknown>>;

export interface Streamed {
  /** The deltas in their order, each the text of one event. */
  readonly content: readonly string[];
  readonly reasoning: readonly string[];
  readonly roles: number;
  readonly finish: string | undefined;
  readonly usage: { readonly prompt_tokens: number; readonly completion_tokens: number } | undefined;
  readonly isDone: boolean;
}

export async function ask(child: Child, path: string, body: object): Promise<Response> {
  const url = child.url.replace(/\/v1$/, "") + path;
  return fetch(url, { method: "POST", body: JSON.stringify(body), keepalive: false });
}

export async function promptOf(child: Child, body: object): Promise<string> {
  const { prompt } = (await (await ask(child, "/apply-template", body)).json()) as { readonly prompt: string };
  return prompt;
}

export async function stream(child: Child, body: object, path = "/v1/chat/completions"): Promise<Streamed> {
  const asked = { stream: true, stream_options: { include_usage: true }, ...body };
  return readStream(await (await ask(child, path, asked)).text());
}

interface Event {
  /** None in an error. */
  readonly choices?: readonly {
    readonly delta?: { readonly role?: string; readonly content?: string | null; readonly reasoning_content?: string };
    readonly text?: string;
    readonly finish_reason: string | null;
  }[];
  readonly usage?: Streamed["usage"];
}

export function readStream(text: string): Streamed {
  const lines = text.split("\n\n").filter((line) => line.startsWith("data: {"));
  const events = lines.map((line) => JSON.parse(line.slice("data: ".length)) as Event);
  const choices = events.flatMap(({ choices = [] }) => choices);
  const texts = (all: readonly (string | null | undefined)[]): string[] =>
    all.filter((one) => typeof one === "string").filter((one) => one !== "");
  return {
    content: texts(choices.map(({ delta, text: said }) => delta?.content ?? said)),
    reasoning: texts(choices.map(({ delta }) => delta?.reasoning_content)),
    roles: choices.filter(({ delta }) => delta?.role !== undefined).length,
    finish: choices.find(({ finish_reason }) => finish_reason !== null)?.finish_reason ?? undefined,
    usage: events.find((event) => event.usage !== undefined)?.usage,
    isDone: text.includes("data: [DONE]\n\n"),
  };
}
