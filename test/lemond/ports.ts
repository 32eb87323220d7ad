// Which port the next child gets. Below the ephemeral range, in a block that no other simulated Lemonade of this machine has.

export interface Ports {
  /** `tried`: that one could not be bound after all. */
  next(tried?: number): number;
  close(): void;
}

const BLOCK = 100;
const FIRST = 20_000;
const BLOCKS = 127;

export function createPorts(mode: "move" | "reuse"): Ports {
  const { base, release } = takeBlock();
  let last = base - 1;
  return {
    next(tried) {
      const before = mode === "move" ? last : (tried ?? base - 1);
      const turn = Array.from({ length: BLOCK - 1 }, (_, nth) => base + ((before + 1 - base + nth) % (BLOCK - 1)));
      const port = turn.find(isFree);
      if (port === undefined) throw new Error("every port of the block is taken");
      last = port;
      return port;
    },
    close: release,
  };
}

/** The first port of a block says whose it is: it stays bound. A taken port moves on to the next block, all of them at most. */
function takeBlock(): { base: number; release: () => void } {
  const start = Math.floor(Math.random() * BLOCKS);
  for (let tries = 0; tries < BLOCKS; tries++) {
    const first = FIRST + ((start + tries) % BLOCKS) * BLOCK;
    const listener = bound(first);
    if (listener) return { base: first + 1, release: () => listener.stop(true) };
  }
  throw new Error("every block of ports is taken");
}

function isFree(port: number): boolean {
  const listener = bound(port);
  listener?.stop(true);
  return listener !== null;
}

function bound(port: number) {
  try {
    return Bun.listen({ hostname: "127.0.0.1", port, exclusive: true, socket: { data() {} } });
  } catch {
    return null; // Taken by somebody; that is the answer.
  }
}
