// Installing below a folder in place of "/": what is there, what is kept, what systemd is told. Never the real one.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runInstall } from "../../src/host/install.ts";
import { builtExecutable, runBinary } from "../binary.ts";
import { ALL, CONFIG, createHost, ENVIRONMENT, EXECUTABLE, type Recorder, UNIT } from "../host.ts";

const here = { isLan: false, isDryRun: false, root: null };
let host: ReturnType<typeof createHost>;
let io: Recorder;
beforeEach(() => {
  host = createHost();
  io = host.recorder();
});
afterEach(() => host[Symbol.dispose]());

describe("install", () => {
  test("puts four files in place and has systemd start the service", async () => {
    expect(await runInstall(here, io)).toBe(0);
    expect(host.files()).toEqual(ALL);
    expect([EXECUTABLE, UNIT, CONFIG, ENVIRONMENT].map(host.mode)).toEqual(["755", "644", "644", "600"]);
    expect(host.text(EXECUTABLE)).toBe("version 1");
    // The path is the host's, also where the files lie elsewhere for now.
    expect(host.text(UNIT)).toContain("\nExecStart=/usr/local/bin/hal0-dispatch\n");
    expect(io.ran.filter((command) => !command.startsWith("systemctl show"))).toEqual([
      expect.stringMatching(/^useradd --system .* hal0-dispatch$/),
      "systemctl daemon-reload",
      "systemctl enable hal0-dispatch.service",
      "systemctl reset-failed hal0-dispatch.service",
      "systemctl restart hal0-dispatch.service",
    ]);
  });

  test("does so whatever the umask is", async () => {
    const before = process.umask(0o077);
    try {
      expect(await runInstall(here, io)).toBe(0);
    } finally {
      process.umask(before);
    }
    expect([EXECUTABLE, UNIT, CONFIG, ENVIRONMENT, "etc/hal0"].map(host.mode)).toEqual([
      "755",
      "644",
      "644",
      "600",
      "755",
    ]);
  });

  test("again is the upgrade: program and unit are new, the configuration stays, a program that runs keeps its file", async () => {
    await runInstall(here, io);
    writeFileSync(join(host.root, CONFIG), "# mine\n");
    writeFileSync(join(host.root, ENVIRONMENT), "HAL0_DISPATCH_API_KEYS=mine\n");
    writeFileSync(join(host.root, UNIT), "of an older version");
    const running = statSync(join(host.root, EXECUTABLE)).ino;
    writeFileSync(host.program, "version 2");
    expect(await runInstall(here, io)).toBe(0);
    expect([host.text(CONFIG), host.text(ENVIRONMENT)]).toEqual(["# mine\n", "HAL0_DISPATCH_API_KEYS=mine\n"]);
    expect([host.text(EXECUTABLE), host.text(UNIT).includes("ExecStart=")]).toEqual(["version 2", true]);
    expect(statSync(join(host.root, EXECUTABLE)).ino).not.toBe(running);
    expect(host.files()).toEqual(ALL);
  });

  test("by the installed program itself leaves it where it is", async () => {
    await runInstall(here, io);
    const running = statSync(join(host.root, EXECUTABLE)).ino;
    expect(await runInstall(here, host.recorder({ executable: join(host.root, EXECUTABLE) }))).toBe(0);
    expect([statSync(join(host.root, EXECUTABLE)).ino, host.text(EXECUTABLE)]).toEqual([running, "version 1"]);
  });

  test("wants the unit under which lemond is there", async () => {
    mkdirSync(join(host.root, "usr/lib/systemd/system"), { recursive: true });
    writeFileSync(join(host.root, "usr/lib/systemd/system/lemonade-server.service"), "");
    await runInstall(here, io);
    expect(host.text(UNIT)).toContain("\nWants=lemonade-server.service\n");
    writeFileSync(join(host.root, "usr/lib/systemd/system/lemond.service"), "");
    await runInstall(here, io);
    expect(host.text(UNIT)).toContain("\nWants=lemond.service\n");
    expect(host.text(UNIT)).not.toContain("Wants=lemonade-server.service");
  });

  test("--dry-run prints every file and command and changes nothing, also from source and for anybody", async () => {
    for (const executable of [host.program, null]) {
      const dry = host.recorder({ executable, uid: 1000 });
      expect(await runInstall({ ...here, isDryRun: true }, dry)).toBe(0);
      expect([readdirSync(host.root), dry.ran, dry.faults]).toEqual([[], [], []]);
      const said = dry.said.join("\n");
      for (const name of ALL) expect(said).toContain(join(host.root, name));
      for (const line of [
        "    ProtectSystem=strict",
        "    #host = ",
        "    #HAL0_DISPATCH_API_KEYS=",
        "run systemctl enable",
      ])
        expect(said).toContain(line);
    }
  });

  test("--root installs below the folder, tells systemd nothing, and says what is left to do", async () => {
    const elsewhere = join(host.folder, "elsewhere");
    mkdirSync(elsewhere);
    const staged = host.recorder({ uid: 1000 });
    expect(await runInstall({ ...here, isDryRun: false, root: elsewhere }, staged)).toBe(0);
    expect(existsSync(join(elsewhere, UNIT))).toBe(true);
    expect([readdirSync(host.root), staged.ran]).toEqual([[], []]);
    expect(staged.said.at(-1)).toContain(`nothing was started below ${elsewhere}`);
  });

  test("where systemd does not run, the files are put there and the rest is said", async () => {
    const bare = host.recorder({ hasSystemd: false });
    expect(await runInstall(here, bare)).toBe(0);
    expect([host.files(), bare.ran]).toEqual([ALL, []]);
    expect(bare.said.at(-1)).toContain("systemd does not run here");
  });

  test.each([
    ["from source", { executable: null }, here, 2, /runs from source/],
    ["not as root", { uid: 1000 }, here, 1, /run it as root/],
    [
      "below a folder that is not there",
      {},
      { ...here, isDryRun: false, root: "/nowhere/at/all" },
      2,
      /\/nowhere\/at\/all/,
    ],
  ] as const)("%s is refused in one line and changes nothing", async (_, world, flags, code, fault) => {
    const refused = host.recorder(world);
    expect(await runInstall(flags, refused)).toBe(code);
    expect(refused.faults.length).toBe(1);
    expect(refused.faults[0]).toMatch(fault);
    expect([readdirSync(host.root), refused.ran]).toEqual([[], []]);
  });

  test("what cannot be written is named, and nothing half is left", async () => {
    mkdirSync(join(host.root, EXECUTABLE), { recursive: true });
    expect(await runInstall(here, io)).toBe(1);
    expect(io.faults).toEqual([`cannot write ${join(host.root, EXECUTABLE)}: there is a folder of that name`]);
    expect([host.files(), io.ran]).toEqual([[], []]);
  });

  test("a link in another root that leads out of it is not followed", async () => {
    const outside = join(host.folder, "outside");
    mkdirSync(outside);
    mkdirSync(join(host.root, "usr"));
    symlinkSync(outside, join(host.root, "usr/local"));
    expect(await runInstall({ ...here, isDryRun: false, root: host.root }, io)).toBe(1);
    expect([readdirSync(outside), io.faults.length]).toEqual([[], 1]);
    expect(io.faults[0]).toContain("leads out of");
  });
});

test("a configuration with faults is refused before anything is changed: the service that runs would not start again", async () => {
  await runInstall(here, io);
  writeFileSync(join(host.root, CONFIG), "[server]\nprot = 1\nport = -1\n");
  writeFileSync(host.program, "version 2");
  const refused = host.recorder();
  expect(await runInstall(here, refused)).toBe(1);
  expect(refused.faults.map((fault) => fault.split(":")[0])).toEqual([
    "the configuration has faults, so nothing was changed",
    "server.prot",
    "server.port",
  ]);
  expect([host.text(EXECUTABLE), refused.ran]).toEqual(["version 1", []]);
});

test("keys in the variables count: an address of the network needs one", async () => {
  await runInstall(here, io);
  writeFileSync(join(host.root, CONFIG), '[server]\nhost = "0.0.0.0"\n');
  expect(await runInstall(here, host.recorder())).toBe(1);
  writeFileSync(join(host.root, ENVIRONMENT), "HAL0_DISPATCH_API_KEYS=mine\n");
  expect(await runInstall(here, host.recorder())).toBe(0);
});

test("the executable installs itself below a root, runs from there, and takes itself away again", async () => {
  const executable = await builtExecutable();
  expect(await runBinary({ args: ["install", "--root", host.root] })).toMatchObject({ code: 0, stderr: "" });
  expect(host.files()).toEqual(ALL);
  expect(statSync(join(host.root, EXECUTABLE)).size).toBe(statSync(executable).size);
  const { stdout } = Bun.spawnSync([join(host.root, EXECUTABLE), "--check", "--config", join(host.root, CONFIG)], {
    env: {},
  });
  expect(stdout.toString()).toContain("port = 8080");
  const gone = Bun.spawnSync([join(host.root, EXECUTABLE), "uninstall", "--purge", "--root", host.root], { env: {} });
  expect([gone.exitCode, gone.stderr.toString(), host.files()]).toEqual([0, "", []]);
});

test("a reader that closes its pipe ends no dry run", async () => {
  const program = join(import.meta.dir, "../../src/main.ts");
  // The reader is gone before the program begins.
  const script = 'exec 3> >(exit 0); wait $!; exec "$0" "$@" >&3';
  const command = [process.execPath, program, "install", "--dry-run", "--root", host.root];
  const child = Bun.spawn(["bash", "-c", script, ...command], { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  expect([await child.exited, await child.stderr.text(), readdirSync(host.root)]).toEqual([0, "", []]);
});
