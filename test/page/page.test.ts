// The status page in Debian's Chromium, fed by the real server: what the operator sees, and what the page does for him.
import { expect, test } from "bun:test";
import { startLemond } from "../lemond/index.ts";
import { startStack } from "../stack.ts";
import { confirm, inChromium, seesState, slotCard } from "./browser.ts";

/** No poll may notice an eviction before the request does. */
const UNNOTICED = { pollMs: 60_000 };

inChromium(({ newContext, open }) => {
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
    // One line while it is quiet; what else there is to know comes when it is opened.
    expect(await card.locator("dl").isVisible()).toBe(false);
    const toggle = card.getByRole("button", { name: "primary", exact: true });
    expect(await toggle.getAttribute("aria-expanded")).toBe("false");
    await toggle.click();
    await card.locator("dd", { hasText: new RegExp(`^${new URL(stack.child().url).port}$`) }).waitFor();
    await toggle.click();
    expect(await card.locator("dl").isVisible()).toBe(false);
    expect(await page.getByText("A repair is listed here when").isVisible()).toBe(true);

    const loads = stack.lemond.holdLoads();
    await stack.child().kill();
    const reply = stack.chat();
    await seesState(page, "primary", "loading");
    await card.getByText("waiting 1").waitFor();
    // Something happens: it is open, although it was closed by hand.
    await card.locator("dd", { hasText: /^1$/ }).waitFor();
    loads.release();
    await (await reply).text();
    await seesState(page, "primary", "ready");
    const [repair] = stack.repairs;
    const row = page.getByRole("table", { name: "Repairs" }).getByRole("row").nth(1);
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
    await page.getByRole("button", { name: "Unload primary", disabled: true }).waitFor();
    const port = Number(new URL(first.url).port);
    await using again = await startStack({ sharedLemond: lemond, server: { port }, lemonade: UNNOTICED });
    await page.locator("#link", { hasText: "Live" }).waitFor();
    expect(await page.locator("#lost").isVisible()).toBe(false);
    await page.getByRole("button", { name: "Unload primary", disabled: false }).waitFor();
    await again.child().kill();
    await (await again.chat()).text();
    await slotCard(page, "primary").getByText("recovered").waitFor();
  });

  test("lemond down is said with what to do, the buttons rest, and that it is back", async () => {
    await using stack = await startStack();
    const page = await open(stack.url);
    const lemonade = page.locator("#lemonade");
    await lemonade.getByText("Lemonade 11.7.0 up").waitFor();
    const unload = page.getByRole("button", { name: "Unload primary" });
    expect(await unload.getAttribute("aria-disabled")).toBe("false");
    await stack.lemond.kill();
    await lemonade.getByText("Lemonade is down").waitFor();
    const banner = page.locator("#down");
    await banner.getByText("systemctl start lemond").waitFor();
    expect(await banner.innerText()).toContain(stack.lemond.url);
    // None of the buttons could work: not those of slots, nor those of models.
    await page.waitForFunction(`[...document.querySelectorAll(".acts button[aria-disabled], #models td button")]
      .every((button) => button.getAttribute("aria-disabled") === "true")`);
    await stack.lemond.restart();
    await lemonade.getByText("Lemonade 11.7.0 up").waitFor();
    await banner.waitFor({ state: "hidden" });
    await page.waitForFunction(
      `document.querySelector('[aria-label="Load primary"]')?.getAttribute("aria-disabled") === "false"`,
    );
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
});
