// An unprivileged LXC container with Debian 12 and systemd inside, as Proxmox makes them (root starts it, user ids from
// 100000 on). AppArmor, which refuses mounts there, may not be on this machine: a seccomp filter refuses the same one.
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Ran {
  readonly code: number;
  /** stdout and stderr. */
  readonly text: string;
}

export interface Container extends AsyncDisposable {
  /** At which this machine reaches it. */
  readonly address: string;
  /** Where its files lie on this machine. */
  readonly rootfs: string;
  run(...command: readonly string[]): Promise<Ran>;
  /** Throws what the command said where it fails. */
  must(...command: readonly string[]): Promise<string>;
  shell(script: string): Promise<string>;
}

export interface ContainerOptions {
  readonly name: string;
  /** A Debian root that is copied. */
  readonly base: string;
  /** As without Proxmox's nesting: a fresh /proc cannot be mounted. */
  readonly areMountsRefused: boolean;
  /** Tells its network from those of other containers, 0 to 63. */
  readonly index: number;
}

const BOOT_MS = 30_000;
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Null when it is there, else why it cannot be had. */
export async function makeBase(folder: string): Promise<string | null> {
  mkdirSync(folder, { recursive: true });
  chmodSync(folder, 0o755); // It becomes the root, where every user must come by.
  const packages = "systemd,systemd-sysv,dbus";
  const command = ["debootstrap", "--variant=minbase", `--include=${packages}`, "bookworm", folder];
  const { code, text } = await ran([...command, "http://deb.debian.org/debian"]);
  return code === 0 ? null : `debootstrap failed: ${text.trim().slice(-300)}`;
}

/** Rejects with LXC's own words where it cannot be started here. */
export async function startContainer({ name, base, areMountsRefused, index }: ContainerOptions): Promise<Container> {
  const folder = mkdtempSync(join(tmpdir(), "hal0-lxc-"));
  chmodSync(folder, 0o711); // The container's root is another user out here, and must come by.
  const rootfs = join(folder, "rootfs");
  const [us, them] = [1, 2].map((last) => `198.18.77.${index * 4 + last}`);
  const link = `hal0lxc${index}`;
  const at = ["-P", folder, "-n", name];
  const stop = async (): Promise<void> => {
    await ran(["lxc-stop", "--kill", ...at]);
    rmSync(folder, { recursive: true, force: true });
  };
  const run = (...command: readonly string[]): Promise<Ran> =>
    ran(["lxc-attach", ...at, "--clear-env", "-v", `PATH=${PATH}`, "--", ...command]);
  const must = async (...command: readonly string[]): Promise<string> => {
    const { code, text } = await run(...command);
    if (code === 0) return text;
    const { text: journal } = await run("journalctl", "-n", "15", "-o", "short", "--no-pager");
    throw new Error(`${command.join(" ")}: exit ${code}\n${text}\nThe journal's end:\n${journal}`);
  };
  try {
    await copy(base, rootfs);
    mkdirSync(join(folder, name));
    const log = join(folder, "lxc.log");
    writeFileSync(join(folder, "seccomp"), policy(areMountsRefused));
    writeFileSync(join(folder, name, "config"), config({ name, rootfs, folder, link, address: `${them}/30` }));
    // Without a PATH it does not find newuidmap, which would ask /etc/subuid whether root may have these ids.
    const started = await ran([Bun.which("lxc-start") ?? "lxc-start", ...at, "-o", log], { PATH: "/nonexistent" });
    if (started.code !== 0) throw new Error(`LXC does not start a container here: ${faultsOf(log) || started.text}`);
    const network = await ran(["ip", "address", "add", `${us}/30`, "dev", link]);
    if (network.code !== 0) throw new Error(`its network: ${network.text}`);
    await booted(run);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    address: them ?? "",
    rootfs,
    run,
    must,
    shell: (script) => must("sh", "-ec", script),
    [Symbol.asyncDispose]: stop,
  };
}

async function copy(base: string, rootfs: string): Promise<void> {
  const { code, text } = await ran(["cp", "-a", base, rootfs]);
  if (code !== 0) throw new Error(`cp: ${text}`);
  // Its network is ours to set up, and each machine has an id of its own.
  writeFileSync(join(rootfs, "etc/machine-id"), "");
  cpSync("/etc/resolv.conf", join(rootfs, "etc/resolv.conf"), { dereference: true });
}

/** systemd takes a moment until it can be asked. "Degraded" is what it calls a container: some mounts are not its own. */
async function booted(run: Container["run"]): Promise<void> {
  const deadline = performance.now() + BOOT_MS;
  for (;;) {
    const { text } = await run("systemctl", "is-system-running", "--wait");
    if (/^(running|degraded)$/m.test(text)) return;
    if (performance.now() > deadline) throw new Error(`systemd did not come up in the container: ${text.trim()}`);
    await Bun.sleep(200);
  }
}

/** mount(2) with exactly the flags and the missing data of systemd's fresh /proc; EACCES, as AppArmor answers. */
const policy = (areMountsRefused: boolean): string => `2
denylist
[all]
kexec_load errno 1
init_module errno 1
finit_module errno 1
delete_module errno 1
${areMountsRefused ? "mount errno 13 [3,14,SCMP_CMP_EQ] [4,0,SCMP_CMP_EQ]\n" : ""}`;

const config = (own: { name: string; rootfs: string; folder: string; link: string; address: string }): string => `
lxc.uts.name = ${own.name}
lxc.rootfs.path = dir:${own.rootfs}
lxc.rootfs.options = idmap=container
lxc.idmap = u 0 100000 65536
lxc.idmap = g 0 100000 65536
lxc.mount.auto = proc:mixed sys:mixed cgroup:mixed
lxc.apparmor.profile = unconfined
lxc.seccomp.profile = ${own.folder}/seccomp
lxc.net.0.type = veth
lxc.net.0.veth.pair = ${own.link}
lxc.net.0.flags = up
lxc.net.0.ipv4.address = ${own.address}
lxc.tty.max = 0
lxc.pty.max = 1024
`;

function faultsOf(log: string): string {
  const lines = readFileSync(log, "utf8").split("\n");
  return lines
    .flatMap((line) => /\bERROR\b.* - (.*)$/.exec(line)?.[1] ?? [])
    .join("; ")
    .slice(0, 500);
}

async function ran(command: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ran> {
  const child = Bun.spawn([...command], {
    env: { ...process.env, ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { code, text: out + err };
}
