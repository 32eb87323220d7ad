// What doctor has seen, and what it says of it: shapes alone.
import type { Config, LemonadeConfig, SlotConfig } from "../config/config.ts";
import type { HealthAnswer, LoadedModel } from "../lemonade/listing.ts";
import type { ChildSign } from "../slots/repair.ts";

export interface Finding {
  /** `serious`: requests fail or models are lost until somebody acts. */
  readonly level: "ok" | "warning" | "serious";
  readonly what: string;
  /** Null where there is nothing to do. */
  readonly advice: string | null;
}

/** A model as lemond's list names it, those included that are not downloaded yet. */
export interface ListedModel {
  readonly id: string;
  readonly isDownloaded: boolean;
  /** As lemond counts it for `max_models`. */
  readonly type: string;
}

export interface SeenChild {
  readonly loaded: LoadedModel;
  /** Null: it was not asked, since requests for it go through lemond. */
  readonly sign: ChildSign | null;
  readonly isPidVisible: boolean;
}

export interface SeenLemond {
  /** Null is the first. */
  readonly name: string | null;
  readonly config: LemonadeConfig;
  /** The slots that it serves. */
  readonly slots: readonly SlotConfig[];
  /** Whether it runs on this machine. */
  readonly isHere: boolean;
  readonly health: HealthAnswer;
  readonly isLive: boolean;
  /** It has no `/v1/health`, so it is another server. */
  readonly isOther: boolean;
  /** Null where lemond does not say. */
  readonly models: readonly ListedModel[] | null;
  /** `auto_evict` of lemond's own configuration, as far as it tells. */
  readonly evictsByDefault: boolean;
  readonly children: readonly SeenChild[];
}

export type SeenPort =
  | { readonly kind: "free" }
  /** A hal0-dispatch; its version, where it tells us. */
  | { readonly kind: "ours"; readonly version: string | null }
  | { readonly kind: "taken" }
  | { readonly kind: "unusable"; readonly why: string };

/** Everything that was looked at. */
export interface Seen {
  readonly config: Config;
  readonly version: string;
  readonly lemonds: readonly SeenLemond[];
  readonly port: SeenPort;
}

export const ok = (what: string): Finding => ({ level: "ok", what, advice: null });
export const warning = (what: string, advice: string): Finding => ({ level: "warning", what, advice });
export const serious = (what: string, advice: string): Finding => ({ level: "serious", what, advice });
