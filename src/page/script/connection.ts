// Keeps the page fed: connects, says when the connection is lost, tries again, asks for a key where one is needed.
import type { Board } from "./board.ts";
import { byId, mark, put, say } from "./dom.ts";
import type { Server, Told } from "./server.ts";

export interface ConnectionDeps {
  readonly server: Server;
  readonly board: Board;
  readonly events: Told["events"];
  /** Asked for when the feed has begun. */
  readonly onLive: (ask: Server["ask"]) => Promise<void>;
  readonly draw: () => void;
  /** Everything that was told is to be forgotten: the key is no more. */
  readonly onForget: () => void;
}

const FIRST_WAIT_MS = 500;
const MOST_WAIT_MS = 15_000;

/** Runs for as long as the page is open. */
export async function stayConnected(deps: ConnectionDeps): Promise<never> {
  const { server, board } = deps;
  const link = byId("link", HTMLElement);
  const lost = byId("lost", HTMLElement);
  const lostText = byId("lost-text", HTMLParagraphElement);
  const boardNode = byId("board", HTMLElement);
  const forgetButton = byId("forget", HTMLButtonElement);
  let tryNow = (): void => {};

  /** Waits, saying how long, until the time has come or somebody asks for it. */
  const pause = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      const until = Date.now() + ms;
      const tick = (): void => {
        const s = Math.max(1, Math.ceil((until - Date.now()) / 1000));
        put(lostText, `Connection lost. What is shown is old. Trying again in ${s} s.`);
      };
      const timer = setInterval(tick, 500);
      const end = (): void => {
        clearInterval(timer);
        clearTimeout(late);
        tryNow = () => {};
        resolve();
      };
      const late = setTimeout(end, ms);
      tryNow = end;
      tick();
    });

  const setLive = (isLive: boolean): void => {
    board.isLive = isLive;
    boardNode.setAttribute("aria-busy", String(!isLive));
    deps.draw();
  };

  const forget = (): void => {
    server.setKey(null);
    forgetButton.hidden = true;
    deps.onForget();
  };

  /** Shows the form, and nothing of the board, until a key is given. */
  const unlock = (): Promise<void> =>
    new Promise((resolve) => {
      const lock = byId("lock", HTMLFormElement);
      const field = byId("key", HTMLInputElement);
      const refused = byId("refused", HTMLElement);
      put(refused, server.hasKey ? "The server refused this key." : "");
      forget();
      mark(link, "off", "Locked");
      byId("lemonade", HTMLElement).hidden = true;
      lost.hidden = true;
      boardNode.hidden = true;
      lock.hidden = false;
      field.value = "";
      field.focus();
      lock.onsubmit = (event) => {
        event.preventDefault();
        const given = field.value.trim();
        // A header carries no other characters, and no key has them.
        if (!/^[\x21-\x7e]+$/.test(given)) return put(refused, "The server refused this key.");
        server.setKey(given);
        resolve();
      };
    });

  byId("again", HTMLButtonElement).onclick = () => tryNow();
  forgetButton.onclick = () => {
    forget();
    location.reload();
  };
  addEventListener("online", () => tryNow());
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) tryNow();
  });

  for (let failures = 0; ;) {
    mark(link, "load", "Connecting");
    const onLive = async (skewMs: number, ask: Server["ask"]): Promise<void> => {
      board.skewMs = skewMs;
      await deps.onLive(ask);
      if (failures > 0) say("Connected again.");
      failures = 0;
      mark(link, "up", "Live");
      lost.hidden = true;
      byId("lock", HTMLFormElement).hidden = true;
      boardNode.hidden = false;
      forgetButton.hidden = !server.hasKey;
      setLive(true);
    };
    const end = await server.follow({ onLive, events: deps.events }).catch(() => "lost" as const);
    setLive(false);
    if (end === "key needed") {
      await unlock();
      failures = 0;
      continue;
    }
    mark(link, "bad", "Connection lost");
    if (board.status) mark(byId("lemonade", HTMLElement), "off", "Lemonade unknown");
    if (lost.hidden) say("Connection lost.");
    lost.hidden = false;
    await pause(Math.min(MOST_WAIT_MS, FIRST_WAIT_MS * 2 ** failures++) * (0.8 + Math.random() * 0.4));
    put(lostText, "Connection lost. Trying now.");
  }
}
