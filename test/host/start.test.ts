// How an install ends: the user, the start, the container that refuses mounts, the network. systemd's answers are recorded ones.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runInstall } from "../../src/host/install.ts";
import { CONFIG, createHost, ENVIRONMENT, type Recorder, type ServiceState, shown, UNIT } from "../host.ts";

const here = { isLan: false, isDryRun: false, root: null };
let host: ReturnType<typeof createHost>;
let io: Recorder;
beforeEach(() => {
  host = createHost();
  io = host.recorder();
});
afterEach(() => host[Symbol.dispose]());

describe("the start", () => {
  /** systemd as it answers where a start ends in that state, and in `then` once another unit has been written. */
  const ending = (state: ServiceState, then: ServiceState = state) => {
    let isLesser = false;
    return host.recorder({
      run: async ([, action]) => {
        isLesser ||= action === "restart" && host.text(UNIT).includes("refused their mounts");
        const now = isLesser ? then : state;
        const isDown = shown(now).includes("ActiveState=failed");
        return { code: action === "restart" && isDown ? 1 : 0, said: action === "show" ? shown(now) : "Job failed.\n" };
      },
    });
  };

  test("in a container that refuses two mounts is tried without them, which is said in one line", async () => {
    const container = ending("no mounts (226)", "without its mounts");
    expect(await runInstall(here, container)).toBe(0);
    expect(host.text(UNIT)).not.toMatch(/^Protect(ControlGroups|KernelTunables)=/m);
    expect(container.said.filter((line) => line.includes("nesting"))).toHaveLength(1);
    expect(container.faults).toEqual([]);
  });

  test("that no lesser unit helps says which mounts to look for", async () => {
    const failing = ending("no mounts (226)", "no mounts at all (226)");
    expect(await runInstall(here, failing)).toBe(1);
    expect(failing.faults[0]).toMatch(/also without ProtectControlGroups.*journalctl/);
  });

  test("is tried with all of them at the next install, since the container may allow them by now", async () => {
    await runInstall(here, ending("no mounts (226)", "without its mounts"));
    expect(await runInstall(here, io)).toBe(0);
    expect(host.text(UNIT)).toContain("\nProtectControlGroups=yes\nProtectKernelTunables=yes\n");
  });

  test.each<[ServiceState, RegExp]>([
    ["no mounts (226)", /226\/NAMESPACE.*nesting/],
    ["configuration (2)", /configuration has faults.*--check/],
    ["no user (217)", /217\/USER/],
    ["given up (1)", /journalctl -u hal0-dispatch/],
  ])("that ends in %s says what that is and what to do, exit 1", async (state, fault) => {
    const failing = ending(state);
    expect(await runInstall(here, failing)).toBe(1);
    expect(failing.faults).toHaveLength(1);
    expect(failing.faults[0]).toMatch(fault);
    expect(failing.said.join("\n")).not.toContain("/v1");
  });

  test("that answers nobody is no success", async () => {
    const mute = host.recorder({ isServing: async () => false });
    expect(await runInstall(here, mute)).toBe(1);
    expect(mute.faults).toEqual(["the service runs, but http://127.0.0.1:8080/live does not answer"]);
  });

  test("where all is well ends on where it serves and how to open it", async () => {
    await runInstall(here, io);
    expect(io.said.slice(-2)).toEqual([
      "It serves this machine alone, at http://127.0.0.1:8080/v1; its page is http://127.0.0.1:8080/",
      "To open it to your network, with a key: hal0-dispatch install --lan",
    ]);
  });
});

describe("the user", () => {
  test("is made once", async () => {
    mkdirSync(join(host.root, "etc"));
    writeFileSync(
      join(host.root, "etc/passwd"),
      "root:x:0:0::/:/bin/sh\nhal0-dispatch:x:998:998:somebody's:/:/bin/sh\n",
    );
    await runInstall(here, io);
    expect(io.ran.filter((command) => command.startsWith("useradd"))).toEqual([]);
  });

  test("that cannot be made is the end, before anything is started", async () => {
    const run: Recorder["run"] = async ([command]) => ({
      code: command === "useradd" ? 1 : 0,
      said: "useradd: locked\n",
    });
    const failing = host.recorder({ run });
    expect(await runInstall(here, failing)).toBe(1);
    expect(failing.faults[0]).toMatch(/^useradd .* failed: useradd: locked$/);
    expect(failing.said.join()).not.toContain("systemctl");
  });

  test("of a version that had a dynamic one of that name is made after that service was stopped", async () => {
    mkdirSync(join(host.root, "etc/systemd/system"), { recursive: true });
    writeFileSync(join(host.root, UNIT), "[Service]\nDynamicUser=yes\n");
    await runInstall(here, io);
    const [first, second] = io.ran;
    expect([first, second?.split(" ")[0]]).toEqual(["systemctl stop hal0-dispatch.service", "useradd"]);
  });
});

describe("--lan", () => {
  const lan = { ...here, isLan: true };
  const everywhere = (): Recorder =>
    host.recorder({ run: async ([, action]) => ({ code: 0, said: action === "show" ? shown("everywhere") : "" }) });
  const keyIn = (text: string): string | undefined => /^HAL0_DISPATCH_API_KEYS=([0-9a-f]{64})$/m.exec(text)?.[1];

  test("makes a key, binds to every address, and ends on page, base URL and key", async () => {
    const opened = everywhere();
    expect(await runInstall(lan, opened)).toBe(0);
    const key = keyIn(host.text(ENVIRONMENT));
    expect(opened.said.slice(-3)).toEqual([
      "Page:     http://192.168.1.20:8080/",
      "Base URL: http://192.168.1.20:8080/v1",
      `API key:  ${key}`,
    ]);
    expect(opened.said.filter((line) => line.includes(key ?? "?"))).toHaveLength(1);
    expect([host.mode(ENVIRONMENT), host.mode(CONFIG)]).toEqual(["600", "644"]);
    expect(host.text(CONFIG)).toContain('\nhost = "0.0.0.0"\n');
  });

  test("of a service that is there changes those two and nothing else, and keeps the mode of the configuration", async () => {
    await runInstall(here, io);
    writeFileSync(join(host.root, CONFIG), "[server]\nport = 8088\n[lemonade]\npoll_s = 2\n", { mode: 0o640 });
    chmodSync(join(host.root, CONFIG), 0o640);
    await runInstall(lan, everywhere());
    expect(host.text(CONFIG)).toBe('[server]\nhost = "0.0.0.0"\nport = 8088\n[lemonade]\npoll_s = 2\n');
    expect(host.mode(CONFIG)).toBe("640");
    expect(keyIn(host.text(ENVIRONMENT))).toBeDefined();
  });

  test("again keeps the key, which is not shown a second time", async () => {
    await runInstall(lan, everywhere());
    const before = [host.text(ENVIRONMENT), host.text(CONFIG)];
    const again = everywhere();
    expect(await runInstall(lan, again)).toBe(0);
    expect([host.text(ENVIRONMENT), host.text(CONFIG)]).toEqual(before);
    expect(again.said.at(-1)).toBe("API key:  the one in /etc/hal0/dispatch.env, as HAL0_DISPATCH_API_KEYS");
    expect(again.said.join("\n")).not.toContain(keyIn(before[0] ?? "") ?? "?");
  });

  test("keeps an address of the network and keys that the configuration has", async () => {
    mkdirSync(join(host.root, "etc/hal0"), { recursive: true });
    const toml = '[server]\nhost = "192.168.1.20"\napi_keys = ["mine"]\n';
    writeFileSync(join(host.root, CONFIG), toml);
    const opened = everywhere();
    await runInstall(lan, opened);
    expect([host.text(CONFIG), keyIn(host.text(ENVIRONMENT))]).toEqual([toml, undefined]);
    expect(opened.said.at(-1)).toBe("API key:  the one that /etc/hal0/dispatch.toml names (api_keys or api_keys_file)");
  });

  test("is refused where the variables say another address, and changes nothing", async () => {
    await runInstall(here, io);
    writeFileSync(join(host.root, ENVIRONMENT), "HAL0_DISPATCH_HOST=127.0.0.1\n");
    const before = host.text(CONFIG);
    const refused = everywhere();
    expect(await runInstall(lan, refused)).toBe(1);
    expect(refused.faults[0]).toMatch(/listen at 127\.0\.0\.1 alone.*HAL0_DISPATCH_HOST/);
    expect([host.text(CONFIG), refused.ran]).toEqual([before, []]);
  });

  test("--dry-run makes no key", async () => {
    const dry = everywhere();
    expect(await runInstall({ ...lan, isDryRun: true }, dry)).toBe(0);
    expect(dry.said.join("\n")).toContain("HAL0_DISPATCH_API_KEYS=(32-random-bytes");
    expect([readdirSync(host.root), dry.ran]).toEqual([[], []]);
  });
});
