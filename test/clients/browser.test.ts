// The official SDKs in a real web page of another origin: what CORS must allow them, and what it must not.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { chromium, type Browser, type Page } from "playwright-core";
import { needDebian } from "../need.ts";
import { startStack, type StackOptions } from "../stack.ts";
import { said } from "./service.ts";

// A first page in a new browser takes its time on a busy machine.
setDefaultTimeout(20_000);

const executablePath = await needDebian("chromium", "chromium");

describe.skipIf(executablePath === null)("a page of another origin", () => {
  let browser: Browser;
  let site: Bun.Server<undefined>;
  let origin = "";

  beforeAll(async () => {
    const { outputs } = await Bun.build({
      entrypoints: [join(import.meta.dir, "browser-script.ts")],
      target: "browser",
    });
    const [script] = outputs;
    site = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: ({ url }) => {
        const isScript = new URL(url).pathname === "/script.js";
        const page = '<!doctype html><title>a chat</title><script src="/script.js"></script>';
        return new Response(isScript ? script : page, {
          headers: { "content-type": isScript ? "text/javascript" : "text/html" },
        });
      },
    });
    origin = `http://127.0.0.1:${site.port}`;
    browser = await chromium.launch({ executablePath: executablePath ?? "", args: ["--no-sandbox"] });
  }, 30_000);
  afterAll(async () => {
    await browser.close();
    await site.stop(true);
  });

  const askFrom = async (page: Page, url: string, key: string): Promise<unknown> => {
    await page.goto(origin);
    return page.evaluate(`askAll(${JSON.stringify(url)}, ${JSON.stringify(key)})`);
  };

  const answers = {
    models: true,
    openai: said(4),
    requestId: expect.stringMatching(/^[0-9a-f-]{36}$/),
    upstream: "primary",
    openaiStream: said(4),
    anthropic: said(4),
    anthropicStream: said(4),
    refusal: "404 dispatch.no_route",
  };

  test.each([
    ["without keys", {}],
    ["with a key", { apiKeys: ["page-key"] }],
  ] as [string, StackOptions["server"]][])(
    "that is listed chats by openai and @anthropic-ai/sdk, %s",
    async (_, server) => {
      await using stack = await startStack({ server: { ...server, corsOrigins: [origin] } });
      const page = await browser.newPage();
      expect(await askFrom(page, stack.url, "page-key")).toEqual(answers);
      await page.close();
      expect(JSON.stringify(stack.child().requests)).not.toContain("page-key");
    },
  );

  test("that is not listed reads nothing, and asks no model", async () => {
    await using stack = await startStack();
    const page = await browser.newPage();
    expect(await askFrom(page, stack.url, "page-key").catch(String)).toContain("Connection error");
    await page.close();
    expect(stack.child().prompts()).toBe(0);
  });
});
