// How a model route is asked of lemond itself: the same path at its own port, with lemond's name for the model. Pure.
import { replaceField, scanFields } from "../http/json-scan.ts";
import type { ModelRoute } from "../http/routes.ts";
import type { LemondWay } from "./call.ts";

/** One for each route, made once: a request that goes to a child pays nothing for it. */
export function createLemondWays(routes: readonly ModelRoute[]): (route: ModelRoute) => LemondWay {
  const ways = new Map(routes.map((route) => [route, wayOf(route)]));
  return (route) => ways.get(route) ?? wayOf(route);
}

function wayOf({ path }: ModelRoute): LemondWay {
  return { isOnlyWay: false, url: (origin) => `${origin}/v1/${path}`, rewrite: withModel };
}

/** Only the bytes of `model` change. */
function withModel(body: Uint8Array<ArrayBuffer>, model: string): Uint8Array<ArrayBuffer> {
  const scan = scanFields(body, ["model"]);
  return scan.ok ? replaceField(body, "model", scan.spans.get("model") ?? null, JSON.stringify(model)) : body;
}
