// The page's headline, its live table of requests, and the log that a request leads to, in a real browser.
import { expect, test } from "bun:test";
import type { Page } from "playwright-core";
import { startRemote } from "../remote.ts";
import { startStack, type Stack } from "../stack.ts";
import { inChromium } from "./browser.ts";

/** No poll may notice an eviction before the request does. */
const UNNOTICED = { pollMs: 60_000 };

const rows = (page: Page) => page.getByRole("table", { name: "Requests" }).locator("tbody tr");
const cellsOf = (page: Page, row = 0): Promise<string[]> => rows(page).nth(row).locator("td").allInnerTexts();
const lines = (page: Page) => page.locator("#lines li");

async function chat(stack: Stack, id: string, more: Parameters<Stack["chat"]>[0] = {}): Promise<void> {
  await (await stack.chat({ headers: { "x-request-id": id }, ...more })).text();
}

inChromium(({ newContext, open }) => {
  test("the headline says what was answered, what was saved and how long people waited, today and in a week", async () => {
    await using stack = await startStack({ lemonade: UNNOTICED, lemond: { loadMs: 300 } });
    await chat(stack, "one");
    const page = await open(stack.url);
    const today = page.locator("#did .period").first();
    await today.getByText("answered").waitFor();
    expect(await today.locator("dd").allInnerTexts()).toEqual(["1", "0", "0 ms"]);
    await stack.child().kill();
    await chat(stack, "two");
    await today.getByText("saved: 1 recovered").waitFor();
    const [answered, saved, waited] = await today.locator("dd").allInnerTexts();
    expect([answered, saved]).toEqual(["2", "1"]);
    expect(waited).toMatch(/^(\d\d\d ms|\d\.\d s)$/);
    expect(await page.locator("#did h3").allInnerTexts()).toEqual(["Today", "Last 7 days"]);
  });

  test("requests appear as they end: who answered, how it came out, where the time and the tokens went", async () => {
    await using stack = await startStack({ lemonade: UNNOTICED });
    await chat(stack, "before");
    const page = await open(stack.url);
    await rows(page).first().waitFor();
    await stack.child().kill();
    await chat(stack, "a-recovered-request", { stream: true, tokens: 6, model: "tiny-a" });
    await rows(page).nth(1).waitFor();
    const [, by, out, waited, first, tokens, speed, took, log] = await cellsOf(page);
    expect([by, out]).toEqual(["primary as tiny-a", "ok recovered"]);
    for (const time of [waited, first, took]) expect(time).toMatch(/^\d+(\.\d)? m?s$/);
    expect([tokens, speed]).toEqual(["9 → 6", "8,417.5/s"]);
    expect(log).toContain("a-recove…");
    await chat(stack, "nobody", { model: "nowhere" });
    await rows(page).nth(2).waitFor();
    expect((await cellsOf(page)).slice(1, 3)).toEqual(["nobody as nowhere", "no such model (404)"]);
  });

  test("the table is filtered by slot and by what went wrong", async () => {
    await using remote = await startRemote();
    const upstreams = [{ name: "far", url: remote.url, apiKey: null, models: ["far/*"] }];
    await using stack = await startStack({ upstreams });
    await chat(stack, "good");
    await chat(stack, "bad", { sim: { status: 400 } });
    await chat(stack, "elsewhere", { model: "far/x" });
    const page = await open(stack.url);
    await rows(page).nth(2).waitFor();
    await page.getByLabel("Slot", { exact: true }).selectOption("primary");
    expect(await rows(page).count()).toBe(2);
    await page.getByLabel("only what went wrong").check();
    expect(await rows(page).count()).toBe(1);
    expect((await cellsOf(page))[2]).toBe("refused (400)");
    await page.getByLabel("Slot", { exact: true }).selectOption("far");
    await page.getByText("None of the last 200 fits.").waitFor();
    // What ends now is filtered too.
    await chat(stack, "bad too", { sim: { status: 400 } });
    await page.getByLabel("Slot", { exact: true }).selectOption("primary");
    await rows(page).nth(1).waitFor();
  });

  test("a click on a request shows its lines of the log, and only those; all come back", async () => {
    await using stack = await startStack({ lemonade: UNNOTICED });
    await chat(stack, "quiet-request");
    await stack.child().kill();
    await chat(stack, "loud-request");
    const page = await open(stack.url);
    await rows(page).nth(1).waitFor();
    await page
      .getByRole("button", { name: /Show the log of request loud-request$/ })
      .first()
      .click();
    expect(await page.getByLabel("Request", { exact: true }).inputValue()).toBe("loud-request");
    await lines(page).filter({ hasText: "dispatch.upstream_recovered" }).waitFor();
    for (const text of await lines(page).allInnerTexts()) expect(text).toContain("request_id=loud-request");
    // A line that comes later and fits.
    await chat(stack, "loud-request");
    await lines(page).filter({ hasText: "dispatch.decision" }).nth(1).waitFor();
    await page.getByRole("button", { name: "Show every line" }).click();
    await lines(page).filter({ hasText: "quiet-request" }).first().waitFor();
    await page.getByLabel("Request", { exact: true }).fill("no such request");
    await page.getByText("No line of that request is remembered.").waitFor();
  });

  test("the log is live, and who reads further up is not pulled down", async () => {
    await using stack = await startStack();
    for (let n = 0; n < 40; n++) await chat(stack, `old-${n}`);
    const page = await open(stack.url);
    await lines(page).filter({ hasText: "old-39" }).first().waitFor();
    const isAtEnd = (): Promise<boolean> =>
      page.evaluate(
        "(({ scrollHeight, scrollTop, clientHeight }) => scrollHeight - scrollTop - clientHeight < 40)(document.querySelector('#lines'))",
      );
    expect(await isAtEnd()).toBe(true);
    await page.evaluate("document.querySelector('#lines').scrollTop = 0");
    await chat(stack, "new-one");
    await lines(page).filter({ hasText: "new-one" }).first().waitFor({ state: "attached" });
    expect(await isAtEnd()).toBe(false);
    await page.evaluate("document.querySelector('#lines').scrollTop = 1e6");
    await chat(stack, "newest");
    await lines(page).filter({ hasText: "newest" }).first().waitFor();
    expect(await isAtEnd()).toBe(true);
  });

  test("a request id is copied whole, with the clipboard and where a browser has none", async () => {
    await using stack = await startStack();
    await chat(stack, "an-id-of-some-length");
    for (const hasClipboard of [true, false]) {
      const context = await newContext({ permissions: ["clipboard-read", "clipboard-write"] });
      if (!hasClipboard)
        await context.addInitScript("Object.defineProperty(navigator, 'clipboard', { value: undefined })");
      const page = await open(stack.url, context);
      const copy = page.getByRole("button", { name: "Copy request id an-id-of-some-length" }).first();
      await copy.click();
      await page.getByText("copied", { exact: true }).waitFor();
      await page.getByLabel("Question").focus();
      await page.keyboard.press("Control+V");
      expect(await page.getByLabel("Question").inputValue()).toBe("an-id-of-some-length");
      await context.close();
    }
  });

  test("ten requests are shown until all are asked for, and a focus stays where it is while more come", async () => {
    await using stack = await startStack();
    for (let n = 0; n < 12; n++) await chat(stack, `request-${n}`);
    const page = await open(stack.url);
    await rows(page).nth(9).waitFor();
    expect(await rows(page).count()).toBe(10);
    await page.getByRole("button", { name: "Show all 12" }).click();
    expect(await rows(page).count()).toBe(12);
    const button = page.getByRole("button", { name: /Show the log of request request-5$/ });
    await button.focus();
    await chat(stack, "one-more");
    await rows(page).nth(12).waitFor();
    expect(await page.locator(":focus").getAttribute("title")).toBe("request-5");
  });
});
