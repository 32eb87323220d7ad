// This machine, as install, uninstall and doctor see it: its commands, its address, what answers on it.
import { createSocket } from "node:dgram";
import { existsSync } from "node:fs";
import { hostname, networkInterfaces } from "node:os";
import type { HostIo, Ran } from "./steps.ts";

/** As sd_booted(3) asks it; the program alone may lie in a container that systemd does not run. */
export const hasSystemd = (): boolean => existsSync("/run/systemd/system") && Bun.which("systemctl") !== null;

export function systemHostIo(executable: string | null, mostFetches: string): HostIo {
  return {
    executable,
    uid: process.getuid?.() ?? -1,
    systemRoot: "/",
    hasSystemd: hasSystemd(),
    mostFetches,
    run: runCommand,
    address: ownAddress,
    isServing,
    out: (line) => void process.stdout.write(`${line}\n`),
    err: (line) => void process.stderr.write(`hal0-dispatch: ${line}\n`),
  };
}

export async function runCommand(command: readonly string[]): Promise<Ran> {
  if (Bun.which(command[0] ?? "") === null) return { code: 127, said: `there is no ${command[0]} here` };
  // Its words are read by us: not in the operator's language.
  const env = { ...process.env, LC_ALL: "C" };
  const child = Bun.spawn([...command], { env, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { code, said: `${out}${err}` };
}

/** The address that leads out of this machine; without a way out the first that is not loopback, else its name. */
async function ownAddress(): Promise<string> {
  // An address for documentation (RFC 5737): connecting a datagram socket sends nothing, it only picks the way.
  const out = await addressTowards("192.0.2.1");
  if (out !== null) return out;
  const others = Object.values(networkInterfaces()).flatMap((all = []) => all.filter(({ internal }) => !internal));
  const first =
    others.find(({ family }) => family === "IPv4") ?? others.find(({ address }) => !address.startsWith("fe80:"));
  return first?.address ?? hostname();
}

function addressTowards(target: string): Promise<string | null> {
  const { promise, resolve } = Promise.withResolvers<string | null>();
  const socket = createSocket("udp4");
  socket.once("error", () => resolve(null));
  socket.connect(9, target, () => {
    const { address } = socket.address();
    resolve(address === "0.0.0.0" ? null : address); // Without a way there Bun 1.4.5 reports no error.
  });
  return promise.finally(() => socket.close());
}

const SERVES_MS = 10_000;
const ASK_AGAIN_MS = 100;

async function isServing(url: string): Promise<boolean> {
  const deadline = performance.now() + SERVES_MS;
  do {
    try {
      const response = await fetch(`${url}/live`, { signal: AbortSignal.timeout(SERVES_MS), keepalive: false });
      await response.arrayBuffer();
      if (response.ok) return true;
    } catch {
      // Not yet, then: the deadline decides.
    }
    await Bun.sleep(ASK_AGAIN_MS);
  } while (performance.now() < deadline);
  return false;
}
