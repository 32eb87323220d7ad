// What each command line asks for, and that a wrong one is one line that names the fault.
import { expect, test } from "bun:test";
import { type Args, helpText, parseArgs } from "../../src/cli/args.ts";

const none = {
  config: undefined,
  host: undefined,
  port: undefined,
  lemonade: undefined,
  allowAnonymous: undefined,
};

const ASKED: readonly [line: string, args: Args][] = [
  ["", { kind: "serve", flags: none }],
  ["--check", { kind: "check", flags: none }],
  [
    "--config a.toml --host ::1 --port 0 --lemonade http://a --allow-anonymous",
    { kind: "serve", flags: { config: "a.toml", host: "::1", port: "0", lemonade: "http://a", allowAnonymous: true } },
  ],
  ["--config=a.toml --check --port=x", { kind: "check", flags: { ...none, config: "a.toml", port: "x" } }],
  ["--port 1 --port 2", { kind: "serve", flags: { ...none, port: "2" } }],
  ["--config=", { kind: "serve", flags: { ...none, config: "" } }],
  ["--help", { kind: "help" }],
  ["-h", { kind: "help" }],
  ["--port 1 --help", { kind: "help" }],
  ["--version", { kind: "version" }],
  ["--check --version", { kind: "version" }],
  ["install", { kind: "install", isLan: false, isDryRun: false, root: null }],
  ["install --lan", { kind: "install", isLan: true, isDryRun: false, root: null }],
  ["install --dry-run --root /tmp/r", { kind: "install", isLan: false, isDryRun: true, root: "/tmp/r" }],
  ["install --help", { kind: "help" }],
  ["uninstall", { kind: "uninstall", isDryRun: false, isPurge: false, root: null }],
  ["uninstall --purge --dry-run --root r", { kind: "uninstall", isDryRun: true, isPurge: true, root: "r" }],
  ["doctor", { kind: "doctor", isJson: false, flags: none }],
  ["doctor --json --lemonade http://a", { kind: "doctor", isJson: true, flags: { ...none, lemonade: "http://a" } }],
  ["drill", { kind: "drill", slot: null, url: null, isYes: false }],
  ["drill primary --url http://a:1/ --yes", { kind: "drill", slot: "primary", url: "http://a:1", isYes: true }],
  ["completion bash", { kind: "completion", shell: "bash" }],
  ["completion zsh", { kind: "completion", shell: "zsh" }],
  ["completion fish", { kind: "completion", shell: "fish" }],
  ["completion --help", { kind: "help" }],
  ["help", { kind: "help" }],
];

test.each(ASKED)("hal0-dispatch %s", (line, args) => {
  expect(parseArgs(line === "" ? [] : line.split(" "))).toEqual(args);
});

const WRONG: readonly [argv: string[], fault: string][] = [
  [["--prot", "1"], "unknown option '--prot'"],
  [["-x"], "unknown option '-x'"],
  [["--help", "--prot"], "unknown option '--prot'"],
  [["--port"], "option '--port <value>' argument missing"],
  [["--port", "--check"], "option '--port' argument is ambiguous"],
  [["--check=yes"], "option '--check' does not take an argument"],
  [["--__proto__", "x"], "unknown option '--__proto__'"],
  [["--constructor"], "unknown option '--constructor'"],
  [["--check", "more"], "unexpected argument 'more'"],
  [["--", "more"], "unexpected argument 'more'"],
  [["start"], "unknown command start"],
  [[""], "unknown command"],
  [["a\nb\u001b[31m"], "unknown command a b [31m"],
  [["install", "--purge"], "unknown option '--purge'"],
  [["install", "here"], "unexpected argument 'here'"],
  [["install", "--config", "x"], "unknown option '--config'"],
  [["uninstall", "--root"], "option '--root <value>' argument missing"],
  [["uninstall", "--root", ""], "--root wants a folder"],
  [["doctor", "--check"], "unknown option '--check'"],
  [["drill", "a", "b"], "drill takes one slot"],
  [["drill", "--url", "a:1"], "--url wants http://HOST:PORT, not a:1"],
  [["completion"], "completion takes bash, zsh or fish"],
  [["completion", "csh"], "completion takes bash, zsh or fish"],
  [["completion", "bash", "zsh"], "completion takes bash, zsh or fish"],
  [["help", "install"], "unexpected argument 'install'"],
];

test.each(WRONG)("wrong usage is one line: %j", (argv, fault) => {
  const args = parseArgs(argv);
  expect(args).toEqual({ kind: "usage", fault: `${fault}; see hal0-dispatch --help` });
});

test("the help names the version, every flag and every exit code, and fits a terminal", () => {
  const text = helpText("1.2.3");
  expect(text).toStartWith("hal0-dispatch 1.2.3\n");
  expect(text).toEndWith("\n");
  for (const flag of ["config PATH", "host", "port", "lemonade URL", "allow-anonymous", "check", "help", "version"]) {
    expect(text).toContain(`--${flag}`);
  }
  for (const command of ["doctor", "drill", "install", "uninstall", "completion bash|zsh|fish", "help"]) {
    expect(text).toContain(`\n  hal0-dispatch ${command}`);
  }
  for (const code of ["0 stopped on request", "1 failed at run time", "2 configuration or usage"]) {
    expect(text).toContain(code);
  }
  expect(Math.max(...text.split("\n").map((line) => line.length))).toBeLessThanOrEqual(120);
});
