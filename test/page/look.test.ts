// How the page looks and reads in each state: no violation that axe finds, nothing cut off, the keyboard alone suffices.
import { expect, test } from "bun:test";
import type { Page } from "playwright-core";
import { startStack } from "../stack.ts";
import { inChromium, seesState } from "./browser.ts";
import { SCENES, showScene, startScene } from "./scenes.ts";

const AXE = await Bun.file(Bun.resolveSync("axe-core/axe.min.js", import.meta.dir)).text();

interface Found {
  readonly violations: readonly { readonly id: string; readonly nodes: readonly { readonly html: string }[] }[];
}

async function violations(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  const found = (await page.evaluate("axe.run({ resultTypes: ['violations'] })")) as Found;
  return found.violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
}

const widthOf = (page: Page): Promise<unknown> => page.evaluate("document.documentElement.scrollWidth");

const WIDTHS = [1280, 1057, 1055, 800, 360];

inChromium(({ newContext, blank, open }) => {
  test.each(SCENES.map((scene) => [scene.name, scene] as const))(
    "%s: axe finds nothing, and nothing is wider than the screen",
    async (_, scene) => {
      await using stack = await startScene(scene);
      const page = await blank();
      await showScene(scene, stack, page);
      for (const width of WIDTHS) {
        await page.setViewportSize({ width, height: 800 });
        expect(await widthOf(page)).toBe(width);
      }
      await page.emulateMedia({ colorScheme: "dark" });
      expect(await violations(page)).toEqual([]);
      await page.emulateMedia({ colorScheme: "light" });
      await page.setViewportSize({ width: 1280, height: 800 });
      expect(await violations(page)).toEqual([]);
    },
  );

  test("twelve quiet slots fit a screen of 1280 by 800", async () => {
    const scene = SCENES.find(({ name }) => name === "twelve-slots");
    if (!scene) throw new Error("there is no such scene");
    const { before: _, ...quiet } = scene;
    await using stack = await startScene(quiet);
    const page = await blank(await newContext({ viewport: { width: 1280, height: 800 } }));
    await page.goto(stack.url);
    await seesState(page, "test", "not loaded");
    const box = await page.locator("#slots").boundingBox();
    expect(await page.locator(".slot").count()).toBe(12);
    expect((box?.y ?? 0) + (box?.height ?? Infinity)).toBeLessThan(800);
  });

  test("no word is broken, and each slot is one line, at 1280", async () => {
    await using stack = await startScene(
      SCENES.find(({ name }) => name === "many-repairs") ?? { name: "", options: {}, shown: async () => {} },
    );
    const page = await open(stack.url);
    await page.getByRole("cell", { name: "retargeted" }).first().waitFor();
    const tall = await page.evaluate(`[...document.querySelectorAll("#repair-table td, #request-table td, .line")]
      .filter((node) => node.getBoundingClientRect().height > 45).map((node) => node.textContent)`);
    expect(tall).toEqual([]);
  });

  test("the colours follow the system until somebody chooses, and the choice is remembered", async () => {
    await using stack = await startStack();
    const context = await newContext({ colorScheme: "dark" });
    const page = await open(stack.url, context);
    const paper = (): Promise<unknown> => page.evaluate("getComputedStyle(document.body).backgroundColor");
    const dark = await paper();
    const button = page.getByRole("button", { name: /^Colours/ });
    await button.click();
    expect(await button.innerText()).toBe("Colours: light");
    const light = await paper();
    expect(light).not.toBe(dark);
    await page.reload();
    expect(await paper()).toBe(light);
    await button.click();
    await page.emulateMedia({ colorScheme: "light" });
    expect([await button.innerText(), await paper()]).toEqual(["Colours: dark", dark]);
    await button.click();
    expect([await button.innerText(), await paper()]).toEqual(["Colours: auto", light]);
    expect(await page.evaluate("localStorage.length")).toBe(0);
  });

  test("the keyboard alone reaches everything, in the order of the page, and each focus is seen", async () => {
    await using stack = await startStack();
    await (await stack.chat({ headers: { "x-request-id": "one" } })).text();
    const page = await open(stack.url);
    await page.locator("#request-table tbody tr").first().waitFor();
    await page.getByRole("button", { name: "Load tiny-b" }).waitFor();
    const reached: string[] = [];
    for (let n = 0; n < 80; n++) {
      await page.keyboard.press("Tab");
      const focus = String(
        await page.evaluate(`(() => {
          const node = document.activeElement;
          if (node === document.body) return "";
          const { outlineStyle } = getComputedStyle(node);
          const name = node.getAttribute("aria-label") ?? node.id ?? node.textContent;
          return (outlineStyle === "none" ? "unseen " : "") + (name || node.textContent).trim();
        })()`),
      );
      if (focus === "") break;
      reached.push(focus);
    }
    expect(reached.filter((name) => name.startsWith("unseen"))).toEqual([]);
    const order = ["metrics", "theme", "Load primary", "Unload primary", "Restart primary", "of-slot", "wrong-only"];
    const more = [
      "one Show the log of request one",
      "Copy request id one",
      "of-model",
      "Load tiny-b",
      "chat-model",
      "prompt",
      "send",
      "log-id",
    ];
    expect(reached.filter((name) => [...order, ...more].includes(name))).toEqual([...order, ...more]);
  });

  test("the links lead to the metrics, with the key where one is needed, and to the README", async () => {
    await using stack = await startStack({ server: { apiKeys: ["the-key"] } });
    const context = await newContext();
    const page = await open(stack.url, context);
    await page.getByLabel("API key").fill("the-key");
    await page.keyboard.press("Enter");
    await seesState(page, "primary", "ready");
    const [metrics] = await Promise.all([
      context.waitForEvent("page"),
      page.getByRole("link", { name: "Metrics" }).click(),
    ]);
    await metrics.getByText("hal0_dispatch_build_info").waitFor();
    expect(metrics.url()).not.toContain("the-key");
    await page.getByRole("link", { name: "README" }).click();
    await page.getByText("# hal0-dispatch").waitFor();
  });

  test("headings and landmarks are those of the page", async () => {
    await using stack = await startStack();
    const page = await open(stack.url);
    await seesState(page, "primary", "ready");
    expect(await page.getByRole("heading").allInnerTexts()).toEqual([
      "hal0-dispatch 0.0.0-test",
      "What it did for you",
      "Today",
      "Last 7 days",
      "Slots",
      "primary",
      "Last hour",
      "Requests",
      "Repairs",
      "Models",
      "Try it",
      "Log",
    ]);
    expect(await page.locator("html").getAttribute("lang")).toBe("en");
    expect(await page.locator("link[rel=icon]").getAttribute("href")).toStartWith("data:image/svg+xml");
  });
});
