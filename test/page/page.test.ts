// The status page in Debian's Chromium, fed by the real server: what the operator sees, and what the page does for him.
import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chromium, type Browser, type BrowserContext, type Page } from "playwright-core";
import { needDebian } from "../need.ts";
import { FAULTS_OF_CONTRAST, NAMELESS_CONTROLS } from "../page-checks.ts";
import { startStack } from "../stack.ts";
import { startLemond } from "../lemond/index.ts";

// A first page in a new browser takes its time on a busy machine.
setDefaultTimeout(20_000);

/** No poll may notice an eviction before the request does. */
const UNNOTICED = { pollMs: 60_000 };

const executablePath = await needDebian("chromium", "chromium");

describe.skipIf(executablePath === null)("in Chromium", () => {
  let browser: Browser;
  const faults: string[] = [];

  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: executablePath ?? "", args: ["--no-sandbox"] });
  }, 30_000);
  afterAll(() => browser.close());
  afterEach(async () => {
    for (const context of browser.contexts()) await context.close();
    expect(faults.splice(0)).toEqual([]);
  });

  const newContext = (options: Parameters<Browser["newContext"]>[0] = {}): Promise<BrowserContext> =>
    browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });

  /** A page whose errors and policy violations fail the test; that the network failed is for the page to say. */
  async function open(url: string, context?: BrowserContext): Promise<Page> {
    const page = await (context ?? (await newContext())).newPage();
    page.setDefaultTimeout(8000);
    page.on("pageerror", (error) => faults.push(String(error)));
    page.on("console", (message) => {
      if (message.type() === "error" && !message.text().startsWith("Failed to load resource"))
        faults.push(message.text());
    });
    await page.goto(url);
    return page;
  }

  const slotCard = (page: Page, name: string) => page.getByRole("listitem", { name, exact: true });
  const seesState = (page: Page, name: string, state: string): Promise<void> =>
    slotCard(page, name)
      .locator(".state", { hasText: new RegExp(`^${state}$`) })
      .waitFor();
  const confirm = async (page: Page, button: string, word: string): Promise<void> => {
    await page.getByRole("button", { name: button, exact: true }).click();
    await page
      .getByRole("dialog", { name: `${button}?` })
      .getByRole("button", { name: word, exact: true })
      .click();
  };

  test("it shows each slot, and a recovery as it happens: loading, who waits, ready again, and the repair", async () => {
    await using stack = await startStack({
      lemonade: UNNOTICED,
      lemond: { maxModels: 2 },
      slots: [
        { name: "primary", model: "tiny-a", isDefault: true },
        { name: "second", model: "tiny-b" },
      ],
    });
    const page = await open(stack.url);
    await seesState(page, "primary", "ready");
    await seesState(page, "second", "not loaded");
    await page.getByText("Lemonade 11.7.0 up").waitFor();
    const card = slotCard(page, "primary");
    expect(await card.innerText()).toContain(new URL(stack.child().url).port);
    expect(await page.getByText("None since the server started").isVisible()).toBe(true);

    const loads = stack.lemond.holdLoads();
    await stack.child().kill();
    const reply = stack.chat();
    await seesState(page, "primary", "loading");
    await card.locator("dd", { hasText: /^1$/ }).waitFor();
    loads.release();
    await (await reply).text();
    await seesState(page, "primary", "ready");
    const [repair] = stack.repairs;
    const row = page.getByRole("row").nth(1);
    await row.waitFor();
    expect(await row.innerText()).toContain(repair?.cause ?? "-");
    expect(await row.innerText()).toContain("recovered");
    await card.getByRole("list").getByText("recovered").waitFor();
    await card.locator("dd", { hasText: new RegExp(`^${new URL(stack.child().url).port}$`) }).waitFor();
    expect(await page.locator("#lanes b").count()).toBe(1);
    expect(await page.locator("#lanes .load").count()).toBeGreaterThan(0);
    expect(await page.getByRole("status").textContent()).toMatch(/^primary: /);
  });

  test("load, unload and restart ask first, are carried out, and give the focus back", async () => {
    await using stack = await startStack();
    const page = await open(stack.url);
    await seesState(page, "primary", "ready");
    const unload = page.getByRole("button", { name: "Unload primary" });
    await unload.focus();
    await page.keyboard.press("Enter");
    await page.getByRole("dialog", { name: "Unload primary?" }).waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "hidden" });
    expect(await page.locator(":focus").getAttribute("aria-label")).toBe("Unload primary");
    await unload.click();
    await page.getByRole("button", { name: "Cancel" }).click();
    expect(stack.lemond.unloads()).toBe(0);

    await confirm(page, "Unload primary", "Unload");
    await seesState(page, "primary", "not loaded");
    expect(stack.lemond.unloads("tiny-a")).toBe(1);
    // What does not fit the state can be reached and is said to be off, but does nothing.
    expect(await unload.getAttribute("aria-disabled")).toBe("true");
    await unload.click({ force: true });
    expect(await page.getByRole("dialog").count()).toBe(0);

    await confirm(page, "Load primary", "Load");
    await seesState(page, "primary", "ready");
    const { pid } = stack.child();
    await confirm(page, "Restart primary", "Restart");
    await stack.slotIs((slot) => slot.pid !== null && slot.pid !== pid && slot.state === "ready");
    await seesState(page, "primary", "ready");
    expect(stack.lemond.unloads()).toBe(2);
    expect(stack.lemond.unloadAlls()).toBe(0);
  });

  test("an action that fails says why beside the slot, as text", async () => {
    await using stack = await startStack({ loaded: [] });
    stack.lemond.failLoads("tiny-a", 3, "<img src=x onerror=alert(1)> out of memory");
    const page = await open(stack.url);
    await seesState(page, "primary", "not loaded");
    await confirm(page, "Load primary", "Load");
    await slotCard(page, "primary").getByRole("alert").getByText("out of memory").waitFor();
    await seesState(page, "primary", "error");
    expect(await page.title()).toBe("Error: primary · hal0-dispatch");
    expect(await page.locator("img").count()).toBe(0);
  });

  test("a lost connection is said, and mended without a hand; the buttons rest meanwhile", async () => {
    await using lemond = await startLemond();
    const first = await startStack({ sharedLemond: lemond });
    const page = await open(first.url);
    await seesState(page, "primary", "ready");
    await first.server.stop();
    await page.getByText(/Connection lost\. What is shown is old/).waitFor();
    expect(await page.getByRole("status").textContent()).toBe("Connection lost.");
    expect(await page.getByRole("button", { name: "Unload primary" }).getAttribute("aria-disabled")).toBe("true");
    const port = Number(new URL(first.url).port);
    await using again = await startStack({ sharedLemond: lemond, server: { port }, lemonade: UNNOTICED });
    await page.locator("#link", { hasText: "Live" }).waitFor();
    expect(await page.locator("#lost").isVisible()).toBe(false);
    expect(await page.getByRole("button", { name: "Unload primary" }).getAttribute("aria-disabled")).toBe("false");
    await again.child().kill();
    await (await again.chat()).text();
    await slotCard(page, "primary").getByText("recovered").waitFor();
  });

  test("lemond down is said, and that it is back", async () => {
    await using stack = await startStack();
    const page = await open(stack.url);
    const lemonade = page.locator("#lemonade");
    await lemonade.getByText("Lemonade 11.7.0 up").waitFor();
    await stack.lemond.kill();
    await lemonade.getByText("Lemonade is down").waitFor();
    await stack.lemond.restart();
    await lemonade.getByText("Lemonade 11.7.0 up").waitFor();
  });

  test("a wrong key is refused, the right one opens, and it is kept in the tab only", async () => {
    await using stack = await startStack({ server: { apiKeys: ["the-right-key"] } });
    const context = await newContext();
    const page = await open(stack.url, context);
    const field = page.getByLabel("API key");
    await field.waitFor();
    expect(await page.locator(".slot").count()).toBe(0);
    for (const wrong of ["wrong", "schlüssel"]) {
      await field.fill(wrong);
      await page.keyboard.press("Enter");
      await page.getByRole("alert").getByText("The server refused this key.").waitFor();
      expect(await page.getByRole("heading", { name: "Slots" }).isVisible()).toBe(false);
    }
    await field.fill("the-right-key");
    await page.getByRole("button", { name: "Open" }).click();
    await seesState(page, "primary", "ready");
    await confirm(page, "Unload primary", "Unload");
    await seesState(page, "primary", "not loaded");
    await page.reload();
    await seesState(page, "primary", "not loaded");
    expect(page.url()).not.toContain("key");
    expect(await context.cookies()).toEqual([]);
    expect(await page.evaluate("localStorage.length")).toBe(0);
    const other = await open(stack.url, context);
    await other.getByLabel("API key").waitFor();
    await page.getByRole("button", { name: "Forget key" }).click();
    await field.waitFor();
    await page.reload();
    await field.waitFor();
  });

  test("it reads well: names, headings, contrast and width, light and dark, on a desk and on a phone", async () => {
    await using stack = await startStack({
      lemonade: UNNOTICED,
      lemond: { maxModels: 2 },
      slots: [
        { name: "primary", model: "tiny-a", isDefault: true },
        { name: "second", model: "tiny-b" },
      ],
    });
    await stack.child().kill();
    await (await stack.chat()).text();
    stack.lemond.failLoads("tiny-b", 3);
    await stack.chat({ model: "second" });
    const page = await open(stack.url);
    await seesState(page, "second", "error");
    for (const colorScheme of ["light", "dark"] as const)
      for (const width of [1280, 360]) {
        await page.emulateMedia({ colorScheme });
        await page.setViewportSize({ width, height: 800 });
        await page.getByRole("cell", { name: "recovered" }).waitFor();
        expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(width);
        expect(await page.evaluate(FAULTS_OF_CONTRAST)).toEqual([]);
        expect(await page.evaluate(NAMELESS_CONTROLS)).toBe(0);
        expect(await page.getByRole("heading").allInnerTexts()).toEqual([
          "hal0-dispatch 0.0.0-test",
          "Slots",
          "primary",
          "second",
          "Last hour",
          "Repairs",
        ]);
        expect(await page.getByRole("columnheader").count()).toBe(7);
        expect(await page.locator("html").getAttribute("lang")).toBe("en");
        await page.keyboard.press("Tab");
        const outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle");
        expect(outline).toBe("solid");
      }
  });
});
