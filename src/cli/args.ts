// What the command line asks for. Decides nothing about values: a flag's text is judged with the rest of the configuration.
import { type Shell, shells } from "./completion.ts";
import { parseArgs as parseOptions, type ParseArgsConfig } from "node:util";

/** Flags that go before environment and file; undefined is not given. */
export interface Flags {
  readonly config?: string | undefined;
  readonly host?: string | undefined;
  readonly port?: string | undefined;
  readonly lemonade?: string | undefined;
  readonly allowAnonymous?: boolean | undefined;
}

export type Args =
  | { readonly kind: "serve" | "check"; readonly flags: Flags }
  | { readonly kind: "help" | "version" }
  /** One line for stderr, without the program's name; the exit code is 2. */
  | { readonly kind: "usage"; readonly fault: string }
  | { readonly kind: "install"; readonly isLan: boolean; readonly isDryRun: boolean; readonly root: string | null }
  | { readonly kind: "uninstall"; readonly isDryRun: boolean; readonly isPurge: boolean; readonly root: string | null }
  | { readonly kind: "doctor"; readonly flags: Flags; readonly isJson: boolean }
  | { readonly kind: "drill"; readonly slot: string | null; readonly url: string | null; readonly isYes: boolean }
  | { readonly kind: "completion"; readonly shell: Shell };

const help = { help: { type: "boolean", short: "h" } } as const;
const configOptions = {
  config: { type: "string" },
  host: { type: "string" },
  port: { type: "string" },
  lemonade: { type: "string" },
  "allow-anonymous": { type: "boolean" },
} as const;
const installOptions = { ...help, "dry-run": { type: "boolean" }, root: { type: "string" } } as const;

/** `argv` without the program's own name. The same flag given twice: the last one counts. */
export function parseArgs(argv: readonly string[]): Args {
  const [command, ...rest] = argv;
  try {
    switch (command) {
      case "install":
        return install(rest);
      case "uninstall":
        return uninstall(rest);
      case "doctor":
        return doctor(rest);
      case "drill":
        return drill(rest);
      case "completion":
        return completion(rest);
      case "help":
        return options(rest, help) && { kind: "help" };
      default:
        return command === undefined || command.startsWith("-")
          ? serve(argv)
          : usage(plain(`unknown command ${command}`));
    }
  } catch (error) {
    return usage(faultOf(error));
  }
}

function serve(argv: readonly string[]): Args {
  const { values } = options(argv, {
    ...help,
    ...configOptions,
    version: { type: "boolean" },
    check: { type: "boolean" },
  });
  if (values.help) return { kind: "help" };
  if (values.version) return { kind: "version" };
  return { kind: values.check ? "check" : "serve", flags: flagsOf(values) };
}

function install(argv: readonly string[]): Args {
  const { values } = options(argv, { ...installOptions, lan: { type: "boolean" } });
  if (values.help) return { kind: "help" };
  if (values.root === "") return NO_ROOT;
  const { lan: isLan = false, "dry-run": isDryRun = false, root = null } = values;
  return { kind: "install", isLan, isDryRun, root };
}

function uninstall(argv: readonly string[]): Args {
  const { values } = options(argv, { ...installOptions, purge: { type: "boolean" } });
  if (values.help) return { kind: "help" };
  if (values.root === "") return NO_ROOT;
  return {
    kind: "uninstall",
    isDryRun: values["dry-run"] ?? false,
    isPurge: values.purge ?? false,
    root: values.root ?? null,
  };
}

function doctor(argv: readonly string[]): Args {
  const { values } = options(argv, { ...help, ...configOptions, json: { type: "boolean" } });
  if (values.help) return { kind: "help" };
  return { kind: "doctor", flags: flagsOf(values), isJson: values.json ?? false };
}

function drill(argv: readonly string[]): Args {
  const { values, positionals } = options(argv, { ...help, url: { type: "string" }, yes: { type: "boolean" } }, true);
  if (values.help) return { kind: "help" };
  const { url = null, yes: isYes = false } = values;
  const [slot = null, ...more] = positionals;
  if (more.length > 0) return usage("drill takes one slot");
  if (url !== null && !isServer(url)) return usage(plain(`--url wants http://HOST:PORT, not ${url}`));
  return { kind: "drill", slot, url: url?.replace(/\/+$/, "") ?? null, isYes };
}

const isServer = (url: string): boolean => URL.canParse(url) && /^https?:$/.test(new URL(url).protocol);

function completion(argv: readonly string[]): Args {
  const { values, positionals } = options(argv, help, true);
  if (values.help) return { kind: "help" };
  const [shell, ...more] = positionals;
  const known = shells.find((name) => name === shell);
  return known && more.length === 0
    ? { kind: "completion", shell: known }
    : usage("completion takes bash, zsh or fish");
}

/** node:util's parser, strict: it throws for what it does not know. */
function options<const O extends NonNullable<ParseArgsConfig["options"]>>(
  argv: readonly string[],
  options: O,
  allowPositionals = false,
) {
  return parseOptions({ args: [...argv], options, strict: true, allowPositionals });
}

interface FlagValues extends Omit<Flags, "allowAnonymous"> {
  readonly "allow-anonymous"?: boolean | undefined;
}

function flagsOf({ config, host, port, lemonade, "allow-anonymous": allowAnonymous }: FlagValues): Flags {
  return { config, host, port, lemonade, allowAnonymous };
}

const usage = (fault: string): Args => ({ kind: "usage", fault: `${fault}; see hal0-dispatch --help` });

/** `--root "$DIR"` with DIR unset must not mean this machine. */
const NO_ROOT = usage("--root wants a folder");

/** The parser's message without its advice on `--`, which is no use here. */
function faultOf(error: unknown): string {
  if (!(error instanceof Error)) return "these arguments cannot be read";
  const [first = ""] = error.message.split(/\.\s|\n/);
  return plain(first.charAt(0).toLowerCase() + first.slice(1));
}

/** One line, whatever was typed. */
const plain = (text: string): string => text.replace(/[\p{Cc}]+/gu, " ").trim();

/** What `--help` prints. */
export function helpText(version: string): string {
  return `hal0-dispatch ${version}
Serves Lemonade's models as OpenAI, Ollama and Anthropic do, and loads a lost one again unnoticed.

Usage
  hal0-dispatch [flags]                    serve until told to stop
  hal0-dispatch --check [flags]            print the configuration without secrets; exit 0 if it is right, 1 if not
  hal0-dispatch doctor [--json] [flags]    look for what will go wrong, and say what to do; exit 1 if serious
  hal0-dispatch drill [SLOT] [--url URL] [--yes]
                                           end the model's process three times, and see that it comes back unnoticed
  hal0-dispatch install [--lan] [--dry-run] [--root DIR]
                                           run it as a service; --lan: for the network, with a key that it makes
  hal0-dispatch uninstall [--purge] [--dry-run] [--root DIR]
                                           take the service away; --purge: the configuration and its records too
  hal0-dispatch completion bash|zsh|fish   print shell completion
  hal0-dispatch help                       this text

Flags
  --config PATH        configuration file (default: /etc/hal0/dispatch.toml if there is one)
  --host ADDRESS       address to listen on (127.0.0.1)
  --port PORT          port to listen on (8080); 0 takes a free one and prints it
  --lemonade URL       where lemond is (http://127.0.0.1:13305)
  --allow-anonymous    serve other machines without API keys
  -h, --help           this text
  --version            the version

Environment
  HAL0_DISPATCH_CONFIG, HAL0_DISPATCH_HOST, HAL0_DISPATCH_PORT, HAL0_DISPATCH_LOG (debug, info, warn, error),
  HAL0_DISPATCH_API_KEYS and HAL0_DISPATCH_ADMIN_KEYS (comma separated), HAL0_DISPATCH_LEMONADE_URL, LEMONADE_API_KEY
  Flags override the environment, the environment overrides the file.

Examples
  hal0-dispatch                            each model of Lemonade at http://127.0.0.1:8080/v1
  hal0-dispatch --config ./dispatch.toml --check
  HAL0_DISPATCH_API_KEYS=secret hal0-dispatch --host 0.0.0.0

Exit codes
  0 stopped on request   1 failed at run time, or --check or doctor says so   2 configuration or usage
`;
}
