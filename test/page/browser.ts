// Debian's Chromium for tests: a page whose errors and policy violations fail the test.
import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout } from "bun:test";
import { chromium, type Browser, type BrowserContext, type Page } from "playwright-core";
import { needDebian } from "../need.ts";

export type ContextOptions = Parameters<Browser["newContext"]>[0];

/** Without a context it is one tab for all tests of the file, as a tab costs half a second: each finds it as if it were new. */
export interface Tabs {
  newContext(options?: ContextOptions): Promise<BrowserContext>;
  open(url: string, context?: BrowserContext): Promise<Page>;
  /** A page that is nowhere yet. */
  blank(context?: BrowserContext): Promise<Page>;
}

const executablePath = await needDebian("chromium", "chromium");

const VIEWPORT = { width: 1280, height: 900 };

/** What is not there within this is not there; a busy machine takes its time. */
const WAIT_MS = 15_000;

export function inChromium(tests: (tabs: Tabs) => void): void {
  // A first page in a new browser takes its time too.
  setDefaultTimeout(60_000);
  describe.skipIf(executablePath === null)("in Chromium", () => {
    let browser: Browser;
    let shared: Page;
    const faults: string[] = [];
    beforeAll(async () => {
      browser = await chromium.launch({ executablePath: executablePath ?? "", args: ["--no-sandbox"] });
      shared = await newPage(await newContext());
    }, 60_000);
    afterAll(() => browser.close());
    afterEach(async () => {
      for (const context of browser.contexts()) if (context !== shared.context()) await context.close();
      // A server of the next test has another port, and so an origin with nothing stored; cookies know no ports.
      await shared.goto("about:blank");
      await shared.unrouteAll();
      await shared.setViewportSize(VIEWPORT);
      await shared.emulateMedia({ colorScheme: null });
      await shared.context().clearCookies();
      expect(faults.splice(0)).toEqual([]);
    });

    const newContext = (options: ContextOptions = {}): Promise<BrowserContext> =>
      browser.newContext({ viewport: VIEWPORT, ...options });
    const newPage = async (context: BrowserContext): Promise<Page> => {
      const page = await context.newPage();
      page.setDefaultTimeout(WAIT_MS);
      page.on("pageerror", (error) => faults.push(String(error)));
      // That the network failed is for the page to say.
      page.on("console", (message) => {
        if (message.type() === "error" && !message.text().startsWith("Failed to load resource"))
          faults.push(message.text());
      });
      return page;
    };
    const blank = async (context?: BrowserContext): Promise<Page> => (context ? newPage(context) : shared);
    const open = async (url: string, context?: BrowserContext): Promise<Page> => {
      const page = await blank(context);
      await page.goto(url);
      return page;
    };
    tests({ newContext, open, blank });
  });
}

/** A slot of the list. */
export const slotCard = (page: Page, name: string) => page.getByRole("listitem", { name, exact: true });

export const seesState = (page: Page, name: string, state: string): Promise<void> =>
  slotCard(page, name)
    .locator(".state", { hasText: new RegExp(`^${state}$`) })
    .waitFor();

/** Presses the button and says yes to what the page asks. */
export async function confirm(page: Page, button: string, word: string): Promise<void> {
  await page.getByRole("button", { name: button, exact: true }).click();
  await page
    .getByRole("dialog", { name: `${button}?` })
    .getByRole("button", { name: word, exact: true })
    .click();
}
