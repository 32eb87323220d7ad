// That the tests install nothing on a machine whose owner was not asked.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { MAY_INSTALL, SKIPPED } from "./need.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "hal0-need-"));
  // The only program there is: it writes down what it is asked for.
  writeFileSync(join(folder, "apt-get"), `#!/bin/sh\necho "$*" >>'${folder}/asked'\n`);
  chmodSync(join(folder, "apt-get"), 0o755);
});
afterAll(() => rmSync(folder, { recursive: true }));

function need(env: Readonly<Record<string, string>>): { said: string; asked: string } {
  rmSync(join(folder, "asked"), { force: true });
  const code = `console.log(await (await import(${JSON.stringify(resolve("test/need.ts"))})).needDebian("a-package", "a-command"))`;
  const { stdout, stderr } = Bun.spawnSync([process.execPath, "-e", code], { env: { PATH: folder, ...env } });
  expect(stdout.toString()).toBe("null\n");
  const asked = join(folder, "asked");
  return { said: stderr.toString(), asked: existsSync(asked) ? readFileSync(asked, "utf8") : "" };
}

test("a missing program is said to be missing, and no package is installed", () => {
  const { said, asked } = need({});
  expect(said).toStartWith(`${SKIPPED}tests with a-command of Debian's a-package: it is not installed`);
  expect(asked).toBe("");
});

test.if(process.getuid?.() === 0)("where it is allowed, its package is installed", () => {
  const { said, asked } = need({ [MAY_INSTALL]: "1" });
  expect(asked).toBe("update\ninstall -y --no-install-recommends a-package\n");
  expect(said).toContain(`${SKIPPED}tests with a-command of Debian's a-package: not in it`);
});
