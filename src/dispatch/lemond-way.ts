// How a model route is asked of lemond itself: the same path at its own port, with lemond's name for the model. Pure.
import { withModelInForm } from "../http/form.ts";
import { replaceField, scanFields } from "../http/json-scan.ts";
import type { Pieces } from "../http/pieces.ts";
import type { ModelRoute } from "../http/routes.ts";
import type { LemondWay } from "./call.ts";

/** What of a request decides its way at lemond. */
export interface LemondAsk {
  /** Of a form; null for JSON. */
  readonly boundary: string | null;
  /** lemond would change more of it than `model` before it hands it to a child. */
  readonly isChangedByLemond: boolean;
}

/** `query` has its question mark, or is empty. */
type Ways = (route: ModelRoute, ask: LemondAsk, query: string) => LemondWay;

/** The usual way of each route is made once: a request that goes to a child pays nothing for it. */
export function createLemondWays(routes: Iterable<ModelRoute>): Ways {
  const plain = { boundary: null, isChangedByLemond: false };
  const usual = new Map([...routes].map((route) => [route, wayOf(route, plain, "")]));
  return (route, ask, query) => {
    const isUsual = query === "" && ask.boundary === null && !ask.isChangedByLemond;
    return (isUsual ? usual.get(route) : undefined) ?? wayOf(route, ask, query);
  };
}

function wayOf(
  { path, dialect, isViaLemond }: ModelRoute,
  { boundary, isChangedByLemond }: LemondAsk,
  query: string,
): LemondWay {
  const root = dialect === "ollama" ? "" : "/v1";
  return {
    isOnlyWay: isViaLemond || isChangedByLemond,
    url: (origin) => `${origin}${root}/${path}${query}`,
    rewrite: (body, model) => (boundary === null ? withModel(body, model) : withModelInForm(body, boundary, model)),
  };
}

/** Only the bytes of `model` change. */
function withModel(body: Uint8Array<ArrayBuffer>, model: string): Pieces {
  const scan = scanFields(body, ["model"]);
  return scan.ok ? replaceField(body, "model", scan.spans.get("model") ?? null, JSON.stringify(model)) : [body];
}
