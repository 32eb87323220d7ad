// Completion as the shells themselves do it: sourced, and asked with the Tab key.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { helpText } from "../../src/cli/args.ts";
import { printCompletion, type Shell, shells } from "../../src/cli/completion.ts";
import { needDebian } from "../need.ts";
import { openTerminal, type Terminal } from "../terminal.ts";

let folder = "";
const found: Partial<Record<Shell, string | null>> = { bash: "bash" };
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "hal0-completion-"));
  mkdirSync(join(folder, "rootfs"));
  writeFileSync(join(folder, "rootless.toml"), "");
  for (const shell of shells) writeFileSync(join(folder, shell), printCompletion(shell));
  for (const shell of ["zsh", "fish"] as const) found[shell] = await needDebian(shell, shell);
}, 300_000);
afterAll(() => rmSync(folder, { recursive: true }));

const FLAGS: Readonly<Record<Shell, readonly string[]>> = {
  bash: ["--norc", "--noprofile", "-i"],
  zsh: ["-f", "-i"],
  fish: ["--no-config", "--interactive"],
};
const SETUP: Readonly<Record<Shell, string>> = {
  bash: "",
  zsh: "autoload -Uz compinit; compinit -u -D; ",
  fish: "function fish_prompt; echo -n '$ '; end; set -g fish_autosuggestion_enabled 0; ",
};

/** A shell that has sourced its completion; null where it is not to be had. */
async function openShell(shell: Shell): Promise<Terminal | null> {
  const path = found[shell];
  if (!path) return null;
  const terminal = openTerminal([path, ...FLAGS[shell]], { PS1: "$ ", INPUTRC: "/dev/null" }, folder);
  terminal.type(`${SETUP[shell]}source ./${shell}; echo rea""dy\n`);
  await terminal.shows(/ready/);
  return terminal;
}

describe.each(shells)("in %s", (shell) => {
  let terminal: Terminal | null = null;
  beforeAll(async () => {
    terminal = await openShell(shell);
  }, 30_000);
  afterAll(() => terminal?.[Symbol.asyncDispose]());

  test("it is read without a fault", async () => {
    const path = found[shell];
    if (!path) return;
    const { exitCode, stderr } = Bun.spawnSync([path, "-n", join(folder, shell)]);
    expect([exitCode, stderr.toString()]).toEqual([0, ""]);
  });

  test.each([
    ["hal0-dispatch in", "hal0-dispatch install "],
    ["hal0-dispatch un", "hal0-dispatch uninstall "],
    ["hal0-dispatch uninstall --pu", "hal0-dispatch uninstall --purge "],
    ["hal0-dispatch install --l", "hal0-dispatch install --lan "],
    ["hal0-dispatch install --dr", "hal0-dispatch install --dry-run "],
    ["hal0-dispatch doctor --js", "hal0-dispatch doctor --json "],
    ["hal0-dispatch completion z", "hal0-dispatch completion zsh "],
    ["hal0-dispatch --ch", "hal0-dispatch --check "],
    ["hal0-dispatch --port 8080 --lem", "hal0-dispatch --port 8080 --lemonade "],
    ["hal0-dispatch --config rootl", "hal0-dispatch --config rootless.toml "],
    ["hal0-dispatch install --root roo", "hal0-dispatch install --root rootfs/"],
  ])("%s<Tab> becomes %s", async (typed, completed) => {
    // Control-U empties the line, which is never sent off.
    terminal?.type(`\x15${typed}\t`);
    await terminal?.shows(new RegExp(RegExp.escape(completed)));
  });

  test("nothing is offered that install does not take", async () => {
    terminal?.type("\x15hal0-dispatch install --pur\t\x05;end");
    // A shell may still be drawing the line before this one.
    expect((await terminal?.shows(/;end/)) ?? "").not.toContain("hal0-dispatch install --purge");
  });
});

test("every flag and command of --help is in all of them, and none that is not", () => {
  const words = (text: string): string[] => [...new Set(text.match(/(?<![\w-])--[a-z][a-z-]+/g))].sort();
  const inHelp = words(helpText("0")).concat("--help");
  for (const shell of shells) {
    const text = printCompletion(shell);
    const flags =
      shell === "fish"
        ? [...text.matchAll(/--long-option (\S+)/g)].map(([, name]) => `--${name}`).sort()
        : words(text.replace(/-- /g, ""));
    expect([...new Set(flags)]).toEqual([...new Set(inHelp)].sort());
    for (const command of ["install", "uninstall", "doctor", "drill", "completion", "help"])
      expect(text).toMatch(
        shell === "fish" ? new RegExp(` --arguments ${command} `) : new RegExp(`^\\s+${command}\\)`, "m"),
      );
  }
});
