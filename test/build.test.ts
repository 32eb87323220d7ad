// The releases: four executables for four machines, their sums, and that the one for this machine serves.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  readdirSync,
  rmSync,
  statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pkg from "../package.json" with { type: "json" };

/** Machine and loader as the ELF header and its interpreter say them. */
const RELEASES: readonly [name: string, machine: number, loader: string][] = [
  ["hal0-dispatch-linux-arm64", 0xb7, "/lib/ld-linux-aarch64.so.1"],
  ["hal0-dispatch-linux-x64", 0x3e, "/lib64/ld-linux-x86-64.so.2"],
  ["hal0-dispatch-linux-x64-baseline", 0x3e, "/lib64/ld-linux-x86-64.so.2"],
  ["hal0-dispatch-linux-x64-musl", 0x3e, "/lib/ld-musl-x86_64.so.1"],
];
/** Four times 114 MB, and the runtimes of three targets from the registry where they are not cached. */
const BUILD_MS = 300_000;

let folder = "";
let built: { code: number; stdout: string; stderr: string } | null = null;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "hal0-releases-"));
  const command = [process.execPath, "build.ts", "--all", "--out", folder];
  const child = Bun.spawn(command, { stdin: "ignore", stdout: "pipe", stderr: "pipe", timeout: BUILD_MS });
  const [stdout, stderr, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  // Without the registry there is nothing to judge. Every other failure is one.
  if (/Failed to download/.test(stderr))
    process.stderr.write(`SKIPPED: the releases need the npm registry: ${stderr}\n`);
  else built = { code, stdout, stderr };
}, BUILD_MS);
afterAll(() => rmSync(folder, { recursive: true }));

function head(name: string): Buffer {
  const bytes = Buffer.alloc(4096);
  const fd = openSync(join(folder, name), "r");
  readSync(fd, bytes, 0, bytes.length, 0);
  closeSync(fd);
  return bytes;
}

test("bun run build --all makes one executable for each target, says their sizes, and leaves nothing else", () => {
  if (built === null) return;
  expect(built.code).toBe(0);
  expect(readdirSync(folder).sort()).toEqual(["SHA256SUMS", ...RELEASES.map(([name]) => name)]);
  for (const [name] of RELEASES) {
    const { size } = statSync(join(folder, name));
    expect(built.stdout).toContain(`${join(folder, name)} ${(size / 1e6).toFixed(1)} MB\n`);
    expect(size).toBeLessThan(130e6);
  }
});

test.each(RELEASES)("%s is for machine %p and its loader", (name, machine, loader) => {
  if (built === null) return;
  const bytes = head(name);
  expect(bytes.subarray(0, 4).toString("latin1")).toBe("\x7fELF");
  expect(bytes.readUInt16LE(18)).toBe(machine);
  expect(bytes.includes(`${loader}\0`)).toBe(true);
  expect(statSync(join(folder, name)).mode & 0o111).toBe(0o111);
});

test("sha256sum finds SHA256SUMS right, and would find a wrong one", () => {
  if (built === null) return;
  const check = (sums: string) =>
    Bun.spawnSync(["sha256sum", "--check", "--strict", "--quiet", "-"], { cwd: folder, stdin: Buffer.from(sums) })
      .exitCode;
  const sums = readFileSync(join(folder, "SHA256SUMS"), "utf8");
  expect(sums.match(/^[0-9a-f]{64} {2}hal0-dispatch-linux-\S+$/gm)?.length).toBe(RELEASES.length);
  expect(check(sums)).toBe(0);
  const [first = ""] = sums.split("\n");
  expect(check(first.replace(/^./, (digit) => (digit === "0" ? "1" : "0")))).toBe(1);
}, 60_000);

describe.if(process.arch === "x64")("of those for this machine,", () => {
  test.each(["hal0-dispatch-linux-x64", "hal0-dispatch-linux-x64-baseline"])(
    "%s starts, serves and stops",
    async (name) => {
      if (built === null) return;
      const path = join(folder, name);
      const version = Bun.spawnSync([path, "--version"], { env: {} });
      expect(version.stdout.toString()).toBe(`hal0-dispatch ${pkg.version} (bun ${Bun.version})\n`);

      const child = Bun.spawn([path, "--port", "0", "--lemonade", "http://127.0.0.1:9", "--config", "/dev/null"], {
        cwd: folder,
        env: {},
        stdin: "ignore",
        stdout: "pipe",
        stderr: "ignore",
      });
      const timer = setTimeout(() => child.kill("SIGKILL"), 20_000);
      try {
        let text = "";
        let url: string | undefined;
        for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
          text += chunk;
          if (url !== undefined) continue;
          url = /"event":"server.started","url":"([^"]+)"/.exec(text)?.[1];
          if (url === undefined) continue;
          expect((await fetch(`${url}/live`)).status).toBe(200);
          child.kill("SIGTERM");
        }
        expect([url === undefined, await child.exited]).toEqual([false, 0]);
        expect(text).toContain('"event":"server.stopped"');
      } finally {
        clearTimeout(timer);
        child.kill("SIGKILL");
      }
    },
  );
});

test("a build that fails says why, exits with 1 and leaves no half file", () => {
  const elsewhere = mkdtempSync(join(tmpdir(), "hal0-broken-"));
  try {
    // Where the executable belongs there is a folder: all goes well up to the last step.
    mkdirSync(join(elsewhere, "hal0-dispatch"));
    const run = Bun.spawnSync([process.execPath, "build.ts", "--out", elsewhere]);
    expect([run.exitCode, run.stdout.toString()]).toEqual([1, ""]);
    expect(run.stderr.toString()).toContain("hal0-dispatch");
    expect(readdirSync(elsewhere)).toEqual(["hal0-dispatch"]);
  } finally {
    rmSync(elsewhere, { recursive: true });
  }
});
