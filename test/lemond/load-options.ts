// The options of a load: defaults, comparison with what runs, what is refused, and the command line they give. Pure.
import type { Personality } from "./personality.ts";
import type { Spec } from "./model-spec.ts";

export type Options = Readonly<Record<string, unknown>>;

/** What health will show as `recipe_options`. */
export function mergedOptions({ version }: Personality, { recipe }: Spec, asked: Options): Options {
  if (recipe !== "llamacpp") return recipe === "flm" ? { ctx_size: 4096, ...asked } : asked;
  const defaults: Options = { ctx_size: 4096, llamacpp_backend: "cpu" };
  // 10.6 leaves empty arguments out.
  if (version === "10.6") {
    const { llamacpp_args: args, ...rest } = asked;
    return { ...defaults, ...rest, ...(args === undefined || args === "" ? {} : { llamacpp_args: args }) };
  }
  return { ...defaults, llamacpp_args: "", ...asked };
}

export function sameOptions(a: Options, b: Options): boolean {
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...keys].every((key) => JSON.stringify(a[key]) === JSON.stringify(b[key]));
}

const wordsOf = (options: Options): readonly string[] =>
  String(options["llamacpp_args"] ?? "")
    .split(/\s+/)
    .filter((word) => word !== "");

/** The message of lemond's refusal (recording 10), or nothing. */
export function invalidOptions({ backends, reservedArguments }: Personality, options: Options): string | undefined {
  if (!backends.includes(String(options["llamacpp_backend"]))) {
    return `'llamacpp.backend' must be one of: ${backends.join(", ")}`;
  }
  const reserved = wordsOf(options).find((word) => reservedArguments.split(", ").includes(word));
  if (reserved === undefined) return undefined;
  const what = `Argument '${reserved}' is managed by Lemonade and cannot be overridden.`;
  return `Invalid custom llama-server arguments:\n${what}\nReserved arguments: ${reservedArguments}`;
}

export function launchCommandOf(spec: Spec, options: Options, port: number): readonly string[] {
  if (spec.recipe !== "llamacpp") return [`/usr/bin/${spec.recipe}`, "serve", spec.checkpoint, "--port", String(port)];
  const type = spec.type === "embedding" ? ["--embeddings"] : spec.type === "reranking" ? ["--reranking"] : [];
  // Embedders get their whole window, whatever the options say (recording 27).
  const ctxSize = spec.type === "llm" ? options["ctx_size"] : spec.maxContextWindow;
  const fixed = ["-m", spec.checkpoint, "--ctx-size", String(ctxSize), "--port", String(port)];
  return ["/usr/bin/llama-server", ...fixed, "--jinja", "--metrics", ...type, ...wordsOf(options)];
}
