// What lemond changes in a prompt before it hands it to a llama-server (DESIGN.md section 2, 22; thinking_controls.cpp). Pure.
import type { Body } from "./child-sim.ts";

/** The same object where nothing is to be changed: then the client's bytes pass. */
export function adjusted(path: string, body: Body): Body {
  const bounded = hasWideBounds(body["tools"]) ? { ...body, tools: withoutWideBounds(body["tools"]) } : body;
  return path === "/v1/chat/completions" ? withThinking(bounded) : bounded;
}

const boundNames = new Set(["minLength", "maxLength", "minItems", "maxItems"]);
const isWide = (name: string, value: unknown): boolean =>
  boundNames.has(name) && typeof value === "number" && value >= 2000;

/** A llama-server cannot make a grammar of them. */
export function hasWideBounds(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  return Object.entries(value).some(([name, inner]) => isWide(name, inner) || hasWideBounds(inner));
}

function withoutWideBounds(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutWideBounds);
  if (typeof value !== "object" || value === null) return value;
  const kept = Object.entries(value).filter(([name, inner]) => !isWide(name, inner));
  return Object.fromEntries(kept.map(([name, inner]) => [name, withoutWideBounds(inner)]));
}

function withThinking(body: Body): Body {
  if (!("enable_thinking" in body) && !("thinking" in body)) return body;
  const { enable_thinking: enabled, thinking, ...rest } = body;
  if (!isThinkingOff(enabled, thinking)) return rest;
  const kwargs = rest["chat_template_kwargs"];
  const others = typeof kwargs === "object" && kwargs !== null ? kwargs : {};
  return {
    ...rest,
    messages: withNoThink(rest["messages"]),
    chat_template_kwargs: { ...others, enable_thinking: false },
    reasoning_effort: "none",
  };
}

function isThinkingOff(enabled: unknown, thinking: unknown): boolean {
  if (typeof enabled === "boolean") return !enabled;
  if (typeof thinking === "boolean") return !thinking;
  return typeof thinking === "object" && thinking !== null && "type" in thinking && thinking.type === "disabled";
}

function withNoThink(messages: unknown): unknown {
  if (!Array.isArray(messages)) return messages;
  const all: readonly unknown[] = messages;
  const last = all.findLastIndex((message) => isUserText(message));
  return all.map((message, at) =>
    at === last && isUserText(message) ? { ...message, content: `/no_think\n${message.content}` } : message,
  );
}

const isUserText = (message: unknown): message is { readonly role: "user"; readonly content: string } =>
  typeof message === "object" &&
  message !== null &&
  "role" in message &&
  message.role === "user" &&
  "content" in message &&
  typeof message.content === "string";
