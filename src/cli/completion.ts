// Completion for bash, zsh and fish as text to source. Knows the words of the command line, which args.ts parses; touches nothing.

export const shells = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof shells)[number];

/** How a shell completes an option's value. */
type Value = "file" | "folder" | "any";

interface Option {
  readonly flag: string;
  readonly what: string;
  readonly value?: Value;
}

const help: Option = { flag: "--help", what: "what there is" };
const dryRun: Option = { flag: "--dry-run", what: "print it and change nothing" };
const root: Option = { flag: "--root", what: "below another root, without systemctl", value: "folder" };
const settings: readonly Option[] = [
  { flag: "--config", what: "configuration file", value: "file" },
  { flag: "--host", what: "address to listen on", value: "any" },
  { flag: "--port", what: "port to listen on", value: "any" },
  { flag: "--lemonade", what: "where lemond is", value: "any" },
  { flag: "--allow-anonymous", what: "serve other machines without API keys" },
];

const commands: readonly { readonly name: string; readonly what: string; readonly options: readonly Option[] }[] = [
  {
    name: "doctor",
    what: "look for what will go wrong",
    options: [{ flag: "--json", what: "findings as JSON" }, ...settings, help],
  },
  {
    name: "drill",
    what: "see that a model that is killed comes back unnoticed",
    options: [
      { flag: "--url", what: "where hal0-dispatch serves", value: "any" },
      { flag: "--yes", what: "without asking" },
      help,
    ],
  },
  {
    name: "install",
    what: "run it as a service",
    options: [{ flag: "--lan", what: "for the network, with a key that it makes" }, dryRun, root, help],
  },
  {
    name: "uninstall",
    what: "remove the service",
    options: [{ flag: "--purge", what: "the configuration and its records too" }, dryRun, root, help],
  },
  { name: "completion", what: "completion for a shell", options: [help] },
  { name: "help", what: "what there is", options: [] },
];

const serveOptions: readonly Option[] = [
  ...settings,
  { flag: "--check", what: "print the configuration and leave" },
  { flag: "--version", what: "the version" },
  help,
];

/** For `source <(hal0-dispatch completion bash)`, or a file that the shell loads by itself. */
export function printCompletion(shell: Shell): string {
  return PRINTS[shell]();
}

const PRINTS: Readonly<Record<Shell, () => string>> = { bash, zsh, fish };

const all = [...serveOptions, ...commands.flatMap(({ options }) => options)];
const flagsTaking = (value: Value): string =>
  [...new Set(all.filter((option) => option.value === value).map(({ flag }) => flag))].join("|");
const flagsOf = (options: readonly Option[]): string => options.map(({ flag }) => flag).join(" ");
const names = commands.map(({ name }) => name).join(" ");

/** Needs bash alone, not the bash-completion package. */
function bash(): string {
  return `# hal0-dispatch: completion for bash. In ~/.bashrc: source <(hal0-dispatch completion bash)
_hal0_dispatch() {
  local word=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} command=\${COMP_WORDS[1]} words
  COMPREPLY=()
  case $previous in
    ${flagsTaking("file")}) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
    ${flagsTaking("folder")}) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$word"); return ;;
    ${flagsTaking("any")}) return ;;
  esac
  case $command in
${commands.map(({ name, options }) => `    ${name}) words="${name === "completion" ? `${shells.join(" ")} ` : ""}${flagsOf(options)}" ;;`).join("\n")}
    *) words="${flagsOf(serveOptions)}" ;;
  esac
  if (( COMP_CWORD == 1 )); then words="${names} ${flagsOf(serveOptions)}"; fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -F _hal0_dispatch hal0-dispatch
`;
}

function zsh(): string {
  return `#compdef hal0-dispatch
# hal0-dispatch: completion for zsh. In ~/.zshrc, after compinit: source <(hal0-dispatch completion zsh)
_hal0_dispatch() {
  local -a commands
  commands=(
${commands.map(({ name, what }) => `    '${name}:${what}'`).join("\n")}
  )
  if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then
    _describe -t commands command commands
    return
  fi
  case $words[2] in
${commands.map(({ name, options }) => `    ${name}) shift words; (( CURRENT-- )); _arguments ${name === "completion" ? `'1:shell:(${shells.join(" ")})' ` : ""}${zshOptions(options)} ;;`).join("\n")}
    *) _arguments ${zshOptions(serveOptions)} ;;
  esac
}
# Sourced, it registers itself; in a folder of fpath, zsh calls it.
if [[ $funcstack[1] == _hal0-dispatch ]]; then _hal0_dispatch "$@"; else compdef _hal0_dispatch hal0-dispatch; fi
`;
}

const ZSH_VALUE: Readonly<Record<Value, string>> = {
  file: ":file:_files",
  folder: ":folder:_files -/",
  any: ":value:",
};

function zshOptions(options: readonly Option[]): string {
  return options
    .map(({ flag, what, value }) => `'${flag}[${what}]${value === undefined ? "" : ZSH_VALUE[value]}'`)
    .join(" ");
}

const FISH_VALUE: Readonly<Record<Value, string>> = {
  file: " --require-parameter --force-files",
  folder: " --exclusive --arguments '(__fish_complete_directories)'",
  any: " --exclusive",
};

function fish(): string {
  const complete = (condition: string, rest: string): string =>
    `complete --command hal0-dispatch --condition '${condition}' ${rest}`;
  const optionsOf = (condition: string, options: readonly Option[]): string[] =>
    options.map(({ flag, what, value }) =>
      complete(
        condition,
        `--long-option ${flag.slice(2)} --description '${what}'${value === undefined ? "" : FISH_VALUE[value]}`,
      ),
    );
  const seen = (name: string): string => `__fish_seen_subcommand_from ${name}`;
  const lines = [
    "# hal0-dispatch: completion for fish. In ~/.config/fish/config.fish: hal0-dispatch completion fish | source",
    "complete --command hal0-dispatch --no-files",
    ...commands.map(({ name, what }) =>
      complete("__fish_use_subcommand", `--arguments ${name} --description '${what}'`),
    ),
    ...commands.flatMap(({ name, options }) => optionsOf(seen(name), options)),
    complete(seen("completion"), `--arguments '${shells.join(" ")}'`),
    ...optionsOf(`not ${seen(names)}`, serveOptions),
  ];
  return `${lines.join("\n")}\n`;
}
