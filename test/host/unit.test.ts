// The systemd unit before systemd's own judges, and what it must not hide from the service.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { USER } from "../../src/host/layout.ts";
import { unitText } from "../../src/host/unit.ts";
import { needDebian } from "../need.ts";

let folder = "";
let analyze: string | null = null;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "hal0-unit-"));
  analyze = await needDebian("systemd", "systemd-analyze");
}, 300_000);
afterAll(() => rmSync(folder, { recursive: true }));

const unit = (lemond: "lemond.service" | "lemonade-server.service" = "lemond.service", canMountProc = true): string =>
  unitText({
    // There is no executable in place here, and `verify` wants one.
    executable: process.execPath,
    environmentFile: "/etc/hal0/dispatch.env",
    lemond,
    mostFetches: "65336",
    user: USER,
    canMountProc,
  });

/** What systemd-analyze says of the text as a unit; null where it is not to be had. */
async function analyzed(text: string, ...command: string[]): Promise<{ code: number; said: string } | null> {
  if (analyze === null) return null;
  const path = join(folder, "hal0-dispatch.service");
  writeFileSync(path, text);
  const child = Bun.spawn([analyze, ...command, path], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: 30_000,
  });
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { code, said: out + err };
}

/** The lines of a section that set `key`. */
const settings = (text: string, key: string): string[] =>
  text.split("\n").flatMap((line) => (line.startsWith(`${key}=`) ? [line.slice(key.length + 1)] : []));

describe("systemd-analyze", () => {
  test.each(["lemond.service", "lemonade-server.service"] as const)(
    "verify has no complaint, after %s",
    async (lemond) => {
      const verdict = await analyzed(unit(lemond), "verify", "--man=no");
      if (verdict === null) return;
      expect(verdict).toEqual({ code: 0, said: "" });
    },
  );

  test("verify does complain of a unit with a fault in it", async () => {
    const verdict = await analyzed(unit().replace("Type=notify", "Type=notfy"), "verify", "--man=no");
    if (verdict === null) return;
    expect(verdict.said).toContain("notfy");
  });

  test("security calls its exposure OK, at 2.0 of 10 or less", async () => {
    const verdict = await analyzed(unit(), "security", "--offline=true", "--no-pager", "--threshold=20");
    if (verdict === null) return;
    expect(verdict.said).toMatch(/Overall exposure level for hal0-dispatch\.service: [01]\.\d OK/);
    expect(verdict.code).toBe(0);
  });
});

describe("the unit", () => {
  test("wants lemond and comes after it, and requires nothing", () => {
    expect(settings(unit(), "Wants")).toEqual(["network-online.target", "lemond.service"]);
    expect(settings(unit("lemonade-server.service"), "Wants")).toEqual([
      "network-online.target",
      "lemonade-server.service",
    ]);
    expect(settings(unit(), "After").join(" ")).toContain("lemond.service lemonade-server.service");
    expect(unit()).not.toMatch(/^(Requires|BindsTo|Requisite|PartOf|Upholds)=/m);
  });

  test("hides neither the pids nor /proc of lemond's children", () => {
    expect(settings(unit(), "ProtectProc")).toEqual(["default"]);
    expect(settings(unit(), "ProcSubset")).toEqual(["all"]);
    expect(unit()).not.toMatch(/^(PrivatePIDs|PrivateUsers)=/m);
  });

  test("runs as a system user, and writes to its own folder alone", () => {
    expect(unit()).not.toMatch(/^(ReadWritePaths|CacheDirectory|LogsDirectory|RuntimeDirectory|DynamicUser)=/m);
    expect(settings(unit(), "ProtectSystem")).toEqual(["strict"]);
    expect(settings(unit(), "StateDirectory")).toEqual(settings(unit(), "User"));
    expect(settings(unit(), "CapabilityBoundingSet")).toEqual([""]);
  });

  test("does without two protections where the container refuses their mounts, and without no other", () => {
    const lines = (text: string): string[] => text.split("\n").filter((line) => !line.startsWith("#"));
    const lesser = lines(unit("lemond.service", false));
    expect(lines(unit()).filter((line) => !lesser.includes(line))).toEqual([
      "ProtectControlGroups=yes",
      "ProtectKernelTunables=yes",
    ]);
    expect(lesser.filter((line) => !lines(unit()).includes(line))).toEqual([]);
  });

  test("checks the configuration before it is told to read it again", () => {
    // The shell's own kill: a small Debian has no other. systemd makes one dollar of two.
    expect(settings(unit(), "ExecReload")).toEqual([
      `/bin/sh -c '${process.execPath} --check >/dev/null && kill -HUP $$MAINPID'`,
    ]);
  });

  test("notifies, is watched, starts again after a failure but not after a fault of the configuration", () => {
    expect(settings(unit(), "Type")).toEqual(["notify"]);
    expect(settings(unit(), "Restart")).toEqual(["on-failure"]);
    expect(settings(unit(), "RestartPreventExitStatus")).toEqual(["2 203 217 226"]);
    // A start that fails at once and again after RestartSec= comes to the limit before the interval is over.
    const [burst, interval, pause] = ["StartLimitBurst", "StartLimitIntervalSec", "RestartSec"].map((key) =>
      Number(settings(unit(), key)[0]),
    );
    expect((burst ?? 0) * ((pause ?? 0) + 1)).toBeLessThan(interval ?? 0);
    expect(burst).toBeGreaterThan(1);
    expect(Number(settings(unit(), "WatchdogSec")[0])).toBeGreaterThan(0);
    expect(settings(unit(), "Environment")).toEqual(["BUN_CONFIG_MAX_HTTP_REQUESTS=65336"]);
  });
});
