// The page's list of models, in a real browser: what a load would cost is said before it is made.
import { expect, test } from "bun:test";
import type { Page } from "playwright-core";
import { startStack } from "../stack.ts";
import { confirm, inChromium, seesState } from "./browser.ts";

const rowOf = (page: Page, model: string) =>
  page
    .locator("#model-table tbody tr")
    .filter({ has: page.getByRole("button", { name: `Load ${model}`, exact: true }) });

inChromium(({ open }) => {
  test("every model is listed, loaded or not; a load says what it unloads, is made, and the list follows", async () => {
    await using stack = await startStack();
    const page = await open(stack.url);
    await rowOf(page, "tiny-a").getByText("loaded", { exact: true }).waitFor();
    const other = rowOf(page, "tiny-b");
    expect(await other.innerText()).toContain("not loaded");
    expect(await other.getByRole("cell").nth(3).innerText()).toBe("tiny-a");
    expect(await rowOf(page, "tiny-emb").getByRole("cell").nth(3).innerText()).toBe("");
    expect(await rowOf(page, "tiny-a").getByRole("button").getAttribute("aria-disabled")).toBe("true");

    await page.getByRole("button", { name: "Load tiny-b" }).click();
    const dialog = page.getByRole("dialog", { name: "Load tiny-b?" });
    expect(await dialog.innerText()).toContain("Lemonade will unload tiny-a to make room.");
    await dialog.getByRole("button", { name: "Cancel" }).click();
    expect(stack.lemond.loads("tiny-b")).toBe(0);
    await confirm(page, "Load tiny-b", "Load");
    await other.getByText("loaded", { exact: true }).waitFor();
    await rowOf(page, "tiny-a").getByText("not loaded").waitFor();
    // It has a slot now.
    await seesState(page, "tiny-b", "ready");
    await seesState(page, "primary", "not loaded");
    // A slot's own button says the same of its model.
    const load = page.locator("#slots").getByRole("button", { name: "Load primary", exact: true });
    await load.click();
    await page.getByText("Lemonade will unload tiny-b to make room.").waitFor();
  });

  test("with room for it the question says so; one that fails says why in its row", async () => {
    await using stack = await startStack({ lemond: { maxModels: -1 } });
    stack.lemond.failLoads("tiny-b", 3, "<b>out of memory</b>");
    const page = await open(stack.url);
    await page.getByRole("button", { name: "Load tiny-b" }).click();
    await page.getByText("There is room for it.").waitFor();
    await page.getByRole("dialog").getByRole("button", { name: "Load" }).click();
    await seesState(page, "tiny-b", "error");
    await page.locator("#slots").getByText("<b>out of memory</b>").first().waitFor();
    expect(await page.locator("#slots b").count()).toBe(0);
  });

  test("the list is filtered by name, and shows eight until all are asked for", async () => {
    const models = Array.from({ length: 30 }, (_, n) => ({ id: `Model-${n}` }));
    await using stack = await startStack({ lemond: { models }, slots: [{ name: "primary", model: "Model-0" }] });
    const page = await open(stack.url);
    const rows = page.locator("#model-table tbody tr");
    await rows.nth(7).waitFor();
    expect(await rows.count()).toBe(8);
    await page.getByLabel("Name", { exact: true }).fill("model-29");
    expect(await rows.allInnerTexts()).toEqual([expect.stringContaining("Model-29")]);
    await page.getByLabel("Name", { exact: true }).fill("nothing");
    await page.getByText("No model fits.").waitFor();
    await page.getByLabel("Name", { exact: true }).fill("");
    await page.getByRole("button", { name: "Show all 30" }).click();
    expect(await rows.count()).toBe(30);
  });
});
