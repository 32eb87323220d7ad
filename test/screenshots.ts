// `bun run screenshots [--out DIR] [SCENE …]`: pictures of the status page in each of its states, on a desk and on a phone,
// light and dark. `bun run screenshots readme` makes the one that README.md shows. Needs Debian's chromium.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";
import { needDebian } from "./need.ts";
import { README_SCENE, SCENES, showScene, startScene } from "./page/scenes.ts";

const SIZES = { desk: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } } as const;

const README_PICTURE = "test/page/screenshot.png";

const { values, positionals } = parseArgs({
  options: { out: { type: "string", default: "dist/screenshots" } },
  allowPositionals: true,
});
const executablePath = await needDebian("chromium", "chromium");
if (executablePath === null) process.exit(1);
mkdirSync(values.out, { recursive: true });
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
for (const scene of SCENES) {
  if (positionals.length > 0 && !positionals.includes(scene.name)) continue;
  await using stack = await startScene(scene);
  for (const [size, viewport] of Object.entries(SIZES))
    for (const colorScheme of ["light", "dark"] as const) {
      const context = await browser.newContext({ viewport, colorScheme });
      const page = await context.newPage();
      await showScene(scene, stack, page);
      const path = join(values.out, `${scene.name}-${size}-${colorScheme}`);
      await page.evaluate("scrollTo(0, 0)");
      await page.screenshot({ path: `${path}.png`, animations: "disabled" });
      await page.screenshot({ path: `${path}-whole.png`, fullPage: true, animations: "disabled" });
      await context.close();
      process.stdout.write(`${path}.png\n`);
    }
}
if (positionals.includes(README_SCENE.name)) {
  await using stack = await startScene(README_SCENE);
  const page = await browser.newPage({ viewport: { width: 1280, height: 515 }, colorScheme: "light" });
  await showScene(README_SCENE, stack, page);
  await page.screenshot({ path: README_PICTURE, animations: "disabled" });
  process.stdout.write(`${README_PICTURE}\n`);
}
await browser.close();
process.exit(0);
