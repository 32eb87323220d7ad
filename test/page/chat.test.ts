// Try it, in a real browser: a streamed answer, Stop, what a wait looks like, and where the time went.
import { expect, test } from "bun:test";
import type { Page } from "playwright-core";
import { startStack } from "../stack.ts";
import { inChromium } from "./browser.ts";

const answer = (page: Page) => page.getByRole("region", { name: "Answer" });
const ask = async (page: Page, text: string): Promise<void> => {
  await page.getByLabel("Model", { exact: true }).selectOption("primary");
  await page.getByLabel("Question").fill(text);
  await page.keyboard.press("Enter");
};

inChromium(({ open }) => {
  test("an answer is streamed, and its timeline and log are under it", async () => {
    await using stack = await startStack();
    const page = await open(stack.url);
    await ask(page, "Hello?");
    await answer(page).getByText("tiny-a token 2").waitFor();
    const timeline = page.locator("#timeline");
    await timeline.getByText(/first word after .* · 4 tokens, 8417\.5\/s · took .* · ok/).waitFor();
    await timeline.getByRole("button", { name: "its log" }).click();
    await page.locator("#lines li").filter({ hasText: "dispatch.decision" }).waitFor();
    expect(await page.locator("#lines li").count()).toBe(1);
    // Nothing of it is kept: not in the browser, not in what the server remembers.
    expect(await page.evaluate("localStorage.length + sessionStorage.length")).toBe(0);
    for (const path of ["requests", "log"])
      expect(await (await fetch(`${stack.url}/api/${path}`)).text()).not.toContain("Hello?");
  });

  test("Stop ends the stream, at the child too, and the question can be asked again", async () => {
    await using stack = await startStack();
    const page = await open(stack.url);
    await page.route("**/v1/chat/completions", (route, request) => {
      const body = { ...request.postDataJSON(), sim: { tokens: 1000, tokenMs: 50 } };
      return route.continue({ postData: JSON.stringify(body) });
    });
    await ask(page, "Tell me everything.");
    await answer(page).getByText("token 3").waitFor();
    // The focus is on what one wants next.
    expect(await page.locator(":focus").innerText()).toBe("Stop");
    await page.keyboard.press("Enter");
    await page.getByText("Stopped.").waitFor();
    await stack.slotIs(({ in_flight }) => in_flight === 0);
    await page.locator("#timeline").getByText("client left (499)").waitFor();
    expect(await page.locator(":focus").getAttribute("id")).toBe("prompt");
    await page.unroute("**/v1/chat/completions");
    await ask(page, "Again.");
    await page.locator("#timeline").getByText(" · ok").waitFor();
  });

  test("a wait is told in the server's words, and drawn in the timeline", async () => {
    await using stack = await startStack({ server: { heartbeatMs: 30 }, loaded: [] });
    const page = await open(stack.url);
    const loads = stack.lemond.holdLoads();
    await ask(page, "Hello?");
    await page.getByText(/^loading of primary, \d+ s/).waitFor();
    loads.release();
    await page
      .locator("#timeline")
      .getByText(/^waited .* · first word after/)
      .waitFor();
    expect((await page.locator("#timeline .load").boundingBox())?.width).toBeGreaterThan(20);
  });

  test("an error is said as text: before the stream, and in it", async () => {
    await using stack = await startStack({ server: { heartbeatMs: 30 }, loaded: [] });
    stack.lemond.failLoads("tiny-a", 9, "<i>no memory</i>");
    const page = await open(stack.url);
    await ask(page, "Hello?");
    await answer(page).locator(".failed").waitFor();
    await page.locator("#timeline").getByText("failed (502)").waitFor();
    // In back-off the status says it.
    await ask(page, "And now?");
    await page.locator("#timeline").getByText("failed (502)").waitFor();
    expect(await answer(page).locator(".failed").innerText()).toContain("primary");
    expect(await page.locator("#answer i").count()).toBe(0);
  });
});
