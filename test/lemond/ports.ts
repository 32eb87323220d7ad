// Which port the next child gets. Below the ephemeral range, and probed: bind and close.

export interface Ports {
  /** `tried`: that one could not be bound after all. */
  next(tried?: number): number;
}

export function createPorts(mode: "move" | "reuse", firstPort: number | undefined): Ports {
  const base = firstPort ?? 20_000 + Math.floor(Math.random() * 400) * 25;
  let last = base - 1;
  return {
    next(tried) {
      let port = mode === "move" ? last + 1 : (tried ?? base - 1) + 1;
      while (!canBind(port)) port += 1;
      last = port;
      return port;
    },
  };
}

function canBind(port: number): boolean {
  try {
    Bun.listen({ hostname: "127.0.0.1", port, exclusive: true, socket: { data() {} } }).stop(true);
    return true;
  } catch {
    // Taken by somebody; that is the answer.
    return false;
  }
}
