// Uninstalling below a folder in place of "/": what goes, what stays, and in which order.
import { afterEach, beforeEach, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runInstall } from "../../src/host/install.ts";
import { runUninstall } from "../../src/host/uninstall.ts";
import { ALL, CONFIG, createHost, ENVIRONMENT, EXECUTABLE, type Recorder, UNIT } from "../host.ts";

const here = { isLan: false, isDryRun: false, root: null };
const kept = { isDryRun: false, isPurge: false, root: null };
const purged = { ...kept, isPurge: true };
let host: ReturnType<typeof createHost>;
let io: Recorder;
beforeEach(() => {
  host = createHost();
  io = host.recorder();
});
afterEach(() => host[Symbol.dispose]());

test("uninstall stops the service before it takes program and unit away, and keeps the configuration", async () => {
  await runInstall(here, io);
  const order = host.recorder({
    run: async (command) => {
      order.ran.push(`${command.join(" ")} ${existsSync(join(host.root, UNIT)) ? "with" : "without"} unit`);
      return { code: 0, said: "" };
    },
  });
  expect(await runUninstall(kept, order)).toBe(0);
  expect(host.files()).toEqual([ENVIRONMENT, CONFIG].sort());
  expect(order.ran).toEqual([
    "systemctl disable --now hal0-dispatch.service with unit",
    "systemctl daemon-reload without unit",
    "systemctl reset-failed hal0-dispatch.service without unit",
  ]);
});

test("--purge leaves no file, and not the folder that install made, also in two steps", async () => {
  for (const steps of [[purged], [kept, purged]]) {
    await runInstall(here, io);
    for (const step of steps) expect(await runUninstall(step, io)).toBe(0);
    expect([host.files(), existsSync(join(host.root, "etc/hal0"))]).toEqual([[], false]);
  }
});

test("--purge leaves a folder that was there before, and one with other files in it", async () => {
  mkdirSync(join(host.root, "etc/hal0"), { recursive: true });
  await runInstall(here, io);
  await runUninstall(purged, io);
  expect(existsSync(join(host.root, "etc/hal0"))).toBe(true);

  rmSync(join(host.root, "etc/hal0"), { recursive: true });
  await runInstall(here, io);
  writeFileSync(join(host.root, "etc/hal0/slots.toml"), "somebody else's");
  expect(await runUninstall(purged, io)).toBe(0);
  expect(host.files()).toEqual(["etc/hal0/slots.toml"]);
});

test("--dry-run names what would go and removes nothing", async () => {
  await runInstall(here, io);
  const dry = host.recorder();
  expect(await runUninstall({ ...purged, isDryRun: true }, dry)).toBe(0);
  expect([host.files(), dry.ran]).toEqual([ALL, []]);
  for (const name of ALL) expect(dry.said.join("\n")).toContain(`remove ${join(host.root, name)}`);
});

test("of nothing is no fault; by anybody but root it is", async () => {
  expect([await runUninstall(kept, io), io.said]).toEqual([0, ["nothing to remove"]]);
  expect(await runUninstall(kept, host.recorder({ uid: 1000 }))).toBe(1);
});

test("a folder that cannot be written is named", async () => {
  if (process.getuid?.() === 0) return; // Root may write everywhere.
  await runInstall({ ...here, root: host.root }, io);
  chmodSync(join(host.root, "usr/local/bin"), 0o555);
  expect(await runUninstall({ ...kept, root: host.root }, io)).toBe(1);
  expect(io.faults).toEqual([`cannot remove ${join(host.root, EXECUTABLE)}: permission denied`]);
  chmodSync(join(host.root, "usr/local/bin"), 0o755);
});

test("the user that install made goes, and one that was there stays", async () => {
  await runInstall(here, io);
  for (const [comment, commands] of [
    ["made by hal0-dispatch install", ["userdel hal0-dispatch"]],
    ["somebody's", []],
  ] as const) {
    writeFileSync(join(host.root, "etc/passwd"), `hal0-dispatch:x:998:998:${comment}:/nonexistent:/usr/sbin/nologin\n`);
    const uninstaller = host.recorder();
    expect(await runUninstall(kept, uninstaller)).toBe(0);
    expect(uninstaller.ran.filter((command) => command.startsWith("user"))).toEqual([...commands]);
  }
});

test("its records stay without an owner that another user could become, and go with --purge", async () => {
  await runInstall(here, io);
  mkdirSync(join(host.root, "var/lib/hal0-dispatch"), { recursive: true });
  writeFileSync(join(host.root, "etc/passwd"), "hal0-dispatch:x:998:998:made by hal0-dispatch install:/:/bin/sh\n");
  const keeper = host.recorder();
  await runUninstall(kept, keeper);
  expect(keeper.ran.slice(-2)).toEqual([
    `chown -R root:root ${join(host.root, "var/lib/hal0-dispatch")}`,
    "userdel hal0-dispatch",
  ]);
  expect(existsSync(join(host.root, "var/lib/hal0-dispatch"))).toBe(true);
  await runUninstall(purged, host.recorder());
  expect(existsSync(join(host.root, "var/lib/hal0-dispatch"))).toBe(false);
});

test("the last line says how to remove the rest, with a program that is still there", async () => {
  await runInstall(here, io);
  const last = async (executable: string): Promise<string | undefined> => {
    const uninstaller = host.recorder({ executable });
    await runUninstall({ ...kept, isDryRun: true }, uninstaller);
    return uninstaller.said.at(-1);
  };
  expect(await last(host.program)).toBe(`To remove these too: ${host.program} uninstall --purge`);
  const paths = [CONFIG, ENVIRONMENT].map((path) => join(host.root, path));
  expect(await last(join(host.root, EXECUTABLE))).toBe(`To remove these too: rm -r ${paths.join(" ")}`);
});
