// Steps that the tests of the simulation share.
import type { Child, Lemond } from "./index.ts";
import { openRaw, requestText } from "./raw-client.ts";

export interface Listed {
  readonly model_name: string;
  readonly backend_url: string;
  readonly pid: number;
  readonly last_use: number;
  readonly recipe_options: Record<string, unknown>;
  readonly recipe: string;
  /** 11.7 alone. */
  readonly is_busy?: boolean;
}

export const health = async (lemond: Lemond): Promise<readonly Listed[]> => {
  const response = await fetch(`${lemond.url}/v1/health`, { keepalive: false, headers: { connection: "close" } });
  return parseHealth(await response.text());
};

const parseHealth = (text: string): readonly Listed[] => JSON.parse(text).all_models_loaded;

export function childOf(lemond: Lemond, model: string): Child {
  const child = lemond.child(model);
  if (child === undefined) throw new Error(`no child of ${model}`);
  return child;
}

export async function loaded(lemond: Lemond, model: string): Promise<Child> {
  const { status } = await lemond.load(model);
  if (status !== 200) throw new Error(`load of ${model}: ${status}`);
  return childOf(lemond, model);
}

export const chatText = (sim: object = {}, more: object = {}): string =>
  requestText("POST", "/v1/chat/completions", [], JSON.stringify({ messages: [], sim, ...more }));
export const endless = { tokens: 100_000, tokenMs: 5 };

/** A stream that has begun: its second token is here. */
export async function streaming(child: Child) {
  const connection = await openRaw(child.port);
  connection.send(chatText(endless, { stream: true }));
  await connection.until("token 2 ");
  return connection;
}
