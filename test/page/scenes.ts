// The page in each of the states that one looks at: a server that is really in it, for screenshots and for what judges them.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { slotDefaults } from "../../src/config/config.ts";
import pkg from "../../package.json" with { type: "json" };
import { startStack, type Stack, type StackOptions } from "../stack.ts";
import { badWeek, quietWeek } from "./past.ts";

export interface Scene {
  readonly name: string;
  readonly options: StackOptions;
  /** What an earlier run left behind. */
  readonly past?: (nowMs: number, slots: readonly string[]) => object;
  /** Brings the server into the state, before or after the page is open. */
  readonly before?: (stack: Stack) => Promise<unknown>;
  readonly after?: (stack: Stack, page: Page) => Promise<unknown>;
  /** When the page shows it. */
  readonly shown: (page: Page) => Promise<unknown>;
}

const NAMES = [
  ["primary", "Qwen3-Coder-30B-A3B-Instruct-GGUF"],
  ["small", "Qwen3-4B-Instruct-2507-GGUF"],
  ["vision", "Qwen2.5-VL-7B-Instruct-GGUF"],
  ["thinking", "gpt-oss-20b-mxfp4-GGUF"],
  ["german", "EuroLLM-9B-Instruct-GGUF"],
  ["draft", "Llama-3.2-1B-Instruct-GGUF"],
  ["embeddings", "nomic-embed-text-v1-GGUF"],
  ["rerank", "bge-reranker-v2-m3-GGUF"],
  ["agents-with-a-long-name", "Devstral-Small-2507-GGUF"],
  ["long", "Nemotron-Nano-9B-v2-GGUF"],
  ["night", "DeepSeek-R1-0528-Qwen3-8B-GGUF"],
  ["test", "SmolLM3-3B-GGUF"],
] as const;
const models = NAMES.map(([, id], at) => ({
  id,
  checkpoint: `/models/${id}.gguf`,
  type: at === 6 ? ("embedding" as const) : at === 7 ? ("reranking" as const) : ("llm" as const),
}));
const slots = NAMES.map(([name, model], at) => ({ ...slotDefaults, name, model, isDefault: at === 0 }));
const loaded = NAMES.filter((_, at) => at % 4 !== 3).map(([, model]) => model);
const twelve: StackOptions = { lemond: { models, maxModels: -1 }, slots, loaded };

const isLive = (page: Page): Promise<void> => page.locator("#link", { hasText: "Live" }).waitFor();
const ask = (stack: Stack, model: string, tokens: number, stream = true): Promise<Response> =>
  stack.chat({ model, tokens, stream });

/** In the background, to its end or the server's: a reply that nobody holds is closed when memory is cleared up. */
function readOn(reply: Promise<Response>): void {
  void reply.then((response) => response.text()).catch(() => {});
}

async function useAll(stack: Stack): Promise<void> {
  for (const name of ["primary", "small", "vision", "german", "draft"]) await (await ask(stack, name, 12)).text();
  await (await ask(stack, "nobody has this model", 1, false)).text();
  await stack.child(NAMES[1][1]).kill();
  await (await ask(stack, "small", 40)).text();
}

async function useTwo(stack: Stack): Promise<void> {
  for (let n = 0; n < 2; n++)
    readOn(stack.chat({ model: "primary", stream: true, tokens: 500, sim: { tokenMs: 200 } }));
  await stack.slotIs(({ in_flight }) => in_flight === 2);
}

/** An evening at home: one model died under a request just now, another one writes two answers. The picture in README.md. */
export const README_SCENE: Scene = {
  name: "readme",
  options: {
    version: pkg.version,
    lemond: { models: models.slice(0, 5), maxModels: -1, loadMs: 700 },
    lemonade: { pollMs: 60_000 },
    slots: slots.slice(0, 5),
    loaded: loaded.slice(0, 4),
  },
  past: quietWeek,
  before: async (stack) => {
    await stack.child(NAMES[1][1]).kill();
    await (await ask(stack, "small", 40)).text();
    await useTwo(stack);
  },
  shown: (page) => page.getByText("answering 2").waitFor(),
};

export const SCENES: readonly Scene[] = [
  {
    name: "empty",
    options: { lemond: { models }, slots: [], loaded: [] },
    shown: (page) =>
      page
        .getByRole("button", { name: /^Load / })
        .first()
        .waitFor(),
  },
  {
    name: "twelve-slots",
    options: twelve,
    before: async (stack) => {
      await useAll(stack);
      await useTwo(stack);
    },
    shown: (page) => page.getByText("answering 2").waitFor(),
  },
  {
    name: "many-repairs",
    options: twelve,
    past: badWeek,
    shown: (page) => page.getByRole("button", { name: "Show all 200" }).first().waitFor(),
  },
  {
    name: "lemond-down",
    options: twelve,
    before: useAll,
    after: (stack) => stack.lemond.kill(),
    shown: (page) => page.locator("#down").waitFor(),
  },
  {
    name: "key-asked",
    options: { server: { apiKeys: ["a-key"] } },
    shown: (page) => page.getByLabel("API key").waitFor(),
  },
  {
    name: "loading",
    options: { ...twelve, lemonade: { pollMs: 60_000 } },
    before: async (stack) => {
      await useAll(stack);
      stack.lemond.holdLoads();
      await stack.child().kill();
      for (let n = 0; n < 3; n++) readOn(ask(stack, "primary", 12));
      stack.lemond.failLoads(NAMES[3][1], 9, "out of memory: 18.2 GB needed, 11.0 GB free");
      await stack.slotIs(({ waiting }) => waiting === 3);
    },
    shown: (page) => page.getByText("waiting 3").waitFor(),
  },
  {
    name: "chat",
    options: twelve,
    before: useAll,
    after: async (_, page) => {
      await page.getByLabel("Question").fill("Why is the sky blue?");
      await page.getByRole("button", { name: "Send" }).click();
      await page.locator("#timeline").waitFor();
      await page.locator("#timeline").getByRole("button", { name: "its log" }).click();
    },
    shown: (page) => page.locator("#lines li").first().waitFor(),
  },
];

/** Starts the scene's server, with what an earlier run would have left behind. */
export async function startScene(scene: Scene): Promise<Stack & AsyncDisposable> {
  const folder = mkdtempSync(join(tmpdir(), "hal0-scene-"));
  const past = scene.past?.(
    Date.now(),
    NAMES.map(([name]) => name),
  );
  if (past) writeFileSync(join(folder, "records.json"), JSON.stringify(past));
  const stack = await startStack({ ...scene.options, stateFolder: folder });
  await scene.before?.(stack);
  return {
    ...stack,
    [Symbol.asyncDispose]: async () => {
      await stack[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Opens it and waits until the page shows the state. */
export async function showScene(scene: Scene, stack: Stack, page: Page): Promise<void> {
  await page.goto(stack.url);
  if (scene.name !== "key-asked") await isLive(page);
  await scene.after?.(stack, page);
  await scene.shown(page);
}
