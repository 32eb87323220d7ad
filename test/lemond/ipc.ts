// What the simulated lemond and its children say to each other. Both ends are ours, so a message is checked for its kind only.
import type { ChatSettings, ModelType } from "./model-spec.ts";
import type { ChildRequest, Faults } from "./types.ts";

export type ToChild =
  | { readonly kind: "set"; readonly id: number; readonly faults: Faults }
  | { readonly kind: "sockets"; readonly id: number }
  /** The parent has noted the request of that id. */
  | { readonly kind: "noted"; readonly id: number };

export type FromChild =
  | { readonly kind: "listening" }
  | { readonly kind: "failed"; readonly code: string }
  | { readonly kind: "request"; readonly request: Omit<ChildRequest, "isAborted"> }
  | { readonly kind: "aborted"; readonly id: number }
  | { readonly kind: "ack"; readonly id: number; readonly value: number };

/** In the environment of a child, as JSON: what a llama-server has no argument for. */
export interface ChildSettings {
  readonly model: string;
  readonly checkpoint: string;
  readonly type: ModelType;
  readonly recipe: string;
  readonly chat: ChatSettings;
  readonly ctxSize: number;
  readonly warmMs: number;
  readonly pingMs: number;
  readonly idleMs: number;
  readonly closeMs: number;
  readonly endsAtTerm: boolean;
}

export const settingsVariable = "SIMULATED_LEMONADE_CHILD";

export const readToChild = (message: unknown): ToChild => message as ToChild;
export const readFromChild = (message: unknown): FromChild => message as FromChild;
export const readSettings = (text: string): ChildSettings => JSON.parse(text) as ChildSettings;
