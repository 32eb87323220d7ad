// A real datagram socket in systemd's place: what $NOTIFY_SOCKET names. Bun has none, so the C library is asked.
import { dlopen, ptr } from "bun:ffi";

export interface NotifySocket extends Disposable {
  /** For the environment of who notifies. */
  readonly address: string;
  /** Every datagram read so far. */
  readonly messages: readonly string[];
  /** Reads what is there. */
  take(): void;
  /** The next message that matches, past ones included; rejects after `ms`. */
  next(pattern: RegExp, ms?: number): Promise<string>;
}

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const MSG_DONTWAIT = 0x40;
const LOOK_MS = 5;

/** `address` as systemd writes it: a path, or a name after "@". */
export function openNotifySocket(address: string): NotifySocket {
  const libc = dlopen("libc.so.6", {
    socket: { args: ["i32", "i32", "i32"], returns: "i32" },
    bind: { args: ["i32", "ptr", "u32"], returns: "i32" },
    recv: { args: ["i32", "ptr", "u64", "i32"], returns: "i64" },
    close: { args: ["i32"], returns: "i32" },
  }).symbols;
  const fd = libc.socket(AF_UNIX, SOCK_DGRAM, 0);
  const path = Buffer.from(address);
  if (address.startsWith("@")) path[0] = 0;
  const name = new Uint8Array(2 + path.length);
  name[0] = AF_UNIX;
  name.set(path, 2);
  if (libc.bind(fd, ptr(name), name.length) !== 0) throw new Error(`cannot bind ${address}`);

  const messages: string[] = [];
  const bytes = new Uint8Array(4096);
  const take = (): void => {
    for (;;) {
      const length = Number(libc.recv(fd, ptr(bytes), BigInt(bytes.length), MSG_DONTWAIT));
      if (length < 0) return;
      messages.push(new TextDecoder().decode(bytes.subarray(0, length)));
    }
  };
  return {
    address,
    messages,
    take,
    next: async (pattern, ms = 10_000) => {
      const deadline = performance.now() + ms;
      for (let from = 0; ;) {
        take();
        const found = messages.slice(from).find((message) => pattern.test(message));
        if (found !== undefined) return found;
        from = messages.length;
        if (performance.now() > deadline) throw new Error(`no ${pattern} among ${JSON.stringify(messages)}`);
        // The kernel keeps what comes meanwhile; this only looks.
        await Bun.sleep(LOOK_MS);
      }
    },
    [Symbol.dispose]: () => void libc.close(fd),
  };
}

/** CLOCK_MONOTONIC. */
export function machineSeconds(): number {
  const libc = dlopen("libc.so.6", { clock_gettime: { args: ["i32", "ptr"], returns: "i32" } }).symbols;
  const time = new BigInt64Array(2);
  libc.clock_gettime(1, ptr(time));
  return Number(time[0]) + Number(time[1]) / 1e9;
}
