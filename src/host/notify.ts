// Tells systemd how the service is: ready, reloading, stopping, still answering. Without $NOTIFY_SOCKET it does nothing.
// Never blocks the event loop: what the socket does not take at once is sent again a little later.
import { dlopen, ptr } from "bun:ffi";
import type { Env } from "../config/secrets.ts";

export interface Notify {
  /** Call once it listens: from here on the watchdog is fed, as long as `${url}/live` answers. */
  ready(url: string): void;
  /** Around a reload of the configuration: `fault` is what `systemctl status` shows where the old one stays. */
  reloaded(url: string, fault: string | null): void;
  /** Call before the drain; asks for as much time as it may take. */
  stopping(drainMs: number): void;
}

const AGAIN_MS = 100;
const MOST_TRIES = 50;
/** What the end of a stop takes beyond the drain. */
const STOP_MARGIN_MS = 15_000;

/** `send` is for tests; false where the socket took nothing. */
export function createNotify(env: Env, pid: number, send = senderTo(env["NOTIFY_SOCKET"])): Notify {
  const say = (text: string, tries = MOST_TRIES): void => {
    if (send === null || send(text) || tries <= 1) return;
    setTimeout(() => say(text, tries - 1), AGAIN_MS).unref();
  };
  const everyMs = watchdogMs(env, pid);

  const feed = (url: string): void => {
    if (send === null || everyMs === null) return;
    let isAsking = false;
    const beat = async (): Promise<void> => {
      if (isAsking) return;
      isAsking = true;
      if (await answers(`${url}/live`, everyMs)) send("WATCHDOG=1");
      isAsking = false;
    };
    void beat();
    setInterval(() => void beat(), everyMs).unref();
  };

  return {
    ready: (url) => {
      say(`READY=1\nSTATUS=${serving(url)}`);
      feed(url);
    },
    reloaded: (url, fault) => {
      // Type=notify wants READY after RELOADING; the two in one message would be a contradiction.
      say(`RELOADING=1\nMONOTONIC_USEC=${monotonicUsec()}`);
      say(`READY=1\nSTATUS=${serving(url)}${fault === null ? "" : `; not reloaded: ${plain(fault)}`}`);
    },
    stopping: (drainMs) => {
      const usec = Math.ceil((drainMs + STOP_MARGIN_MS) * 1000);
      say(`STOPPING=1\nEXTEND_TIMEOUT_USEC=${usec}\nSTATUS=waiting for requests in flight`);
    },
  };
}

const serving = (url: string): string => `serving at ${url}`;
/** A line break would begin another assignment. */
const plain = (text: string): string => text.replace(/[\p{Cc}]+/gu, " ").slice(0, 300);

/** Half of what systemd waits for; null where it does not wait, or waits for another process. */
function watchdogMs(env: Env, pid: number): number | null {
  const usec = Number(env["WATCHDOG_USEC"]);
  if (!Number.isFinite(usec) || usec <= 0) return null;
  if (env["WATCHDOG_PID"] !== undefined && Number(env["WATCHDOG_PID"]) !== pid) return null;
  return usec / 2000;
}

/** Over a socket of its own, as a client would ask. */
async function answers(url: string, timeoutMs: number): Promise<boolean> {
  try {
    const signal = AbortSignal.timeout(timeoutMs);
    const response = await fetch(url, { signal, keepalive: false, headers: { connection: "close" } });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false; // Not an error here: this is the question, and silence is the answer that systemd gets.
  }
}

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
/** `sun_path` of sockaddr_un. */
const PATH_BYTES = 108;

/** A function that sends one datagram there, or null: no address, or one that is not of a Unix socket. */
function senderTo(address: string | undefined): ((text: string) => boolean) | null {
  // "@" is an abstract name; systemd also knows vsock: addresses, which a service on a host never gets.
  if (!address || !/^[/@]/.test(address)) return null;
  const path = Buffer.from(address);
  if (path.length > PATH_BYTES) return null;
  if (address.startsWith("@")) path[0] = 0;
  const target = new Uint8Array(2 + path.length);
  new DataView(target.buffer).setUint16(0, AF_UNIX, true);
  target.set(path, 2);

  const libc = openLibc();
  const fd = libc?.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) ?? -1;
  if (!libc || fd < 0) return null;
  return (text) => {
    const message = Buffer.from(text);
    const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    const sent = libc.sendto(fd, ptr(message), BigInt(message.length), flags, ptr(target), target.length);
    return Number(sent) === message.length;
  };
}

const CLOCK_MONOTONIC = 1;

/** The machine's own clock: Bun's (`process.hrtime` too) begins with the process. */
function monotonicUsec(): bigint {
  const time = new BigInt64Array(2);
  openLibc()?.clock_gettime(CLOCK_MONOTONIC, ptr(time));
  const [seconds = 0n, nanoseconds = 0n] = time;
  return seconds * 1_000_000n + nanoseconds / 1000n;
}

/** Bun 1.4.5 has no Unix datagram socket of its own (node:dgram knows udp4 and udp6), so the C library is asked. */
function openLibc() {
  const musl = process.arch === "arm64" ? "libc.musl-aarch64.so.1" : "libc.musl-x86_64.so.1";
  for (const name of ["libc.so.6", musl]) {
    try {
      return dlopen(name, {
        socket: { args: ["i32", "i32", "i32"], returns: "i32" },
        clock_gettime: { args: ["i32", "ptr"], returns: "i32" },
        sendto: { args: ["i32", "ptr", "u64", "i32", "ptr", "u32"], returns: "i64" },
      }).symbols;
    } catch {
      continue; // The other C library, then; without one there is nobody to tell.
    }
  }
  return null;
}
