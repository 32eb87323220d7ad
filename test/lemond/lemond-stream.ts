// A stream from lemond to its client: the head, chunks, and on 11.7 a ping after each second of silence (recording 32).
import type { ControlContext } from "./answers.ts";
import type { Exchange } from "./http-peer.ts";
import { streamHead } from "./personality-heads.ts";

export interface Outlet {
  readonly isOpen: boolean;
  /** Opens it, if nothing has yet. */
  open(): Promise<void>;
  write(bytes: string | Uint8Array): Promise<void>;
  /** The last words and the regular end. */
  finish(last?: string): Promise<void>;
}

export function createOutlet(
  exchange: Exchange,
  { personality, lemondPingMs }: Pick<ControlContext, "personality" | "lemondPingMs">,
  { contentType, pings }: { readonly contentType: string; readonly pings: boolean },
): Outlet {
  let isOpen = false;
  let timer: Timer | undefined;
  const rest = (): void => {
    clearTimeout(timer);
    if (pings && personality.version === "11.7" && !exchange.isGone) timer = setTimeout(ping, lemondPingMs);
  };
  const ping = (): void => {
    void exchange.write(chunked(": ping\n\n"));
    rest();
  };
  const open = async (): Promise<void> => {
    if (isOpen) return;
    isOpen = true;
    exchange.onGone(() => clearTimeout(timer));
    rest();
    await exchange.write(streamHead(personality, exchange.mustClose, contentType));
  };
  const write = async (bytes: string | Uint8Array): Promise<void> => {
    await open();
    rest();
    if (bytes.length > 0) await exchange.write(chunked(bytes));
  };
  return {
    get isOpen() {
      return isOpen;
    },
    open,
    write,
    async finish(last = "") {
      await write(last);
      clearTimeout(timer);
      await exchange.write("0\r\n\r\n");
      exchange.finish();
    },
  };
}

function chunked(text: string | Uint8Array): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from("\r\n")]);
}
