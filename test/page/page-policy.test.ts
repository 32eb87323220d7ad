// The status page as it is sent: what its headers let in, and that it holds nothing worth a key.
import { expect, test } from "bun:test";
import { assemble } from "../../src/page/assemble.ts";
import { startBinary } from "../binary.ts";
import { startStack } from "../stack.ts";

/** The executable may have to be built first, on a busy machine. */
const BUILD_MS = 60_000;

test("the page is one document without data, under a policy that lets in nothing but its own script and style", async () => {
  await using stack = await startStack({ server: { apiKeys: ["right"] } });
  const response = await fetch(`${stack.url}/`);
  const html = await response.text();
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("text/html; charset=utf-8");
  expect(response.headers.get("cache-control")).toBe("no-store");
  expect(response.headers.get("x-content-type-options")).toBe("nosniff");
  const policy = response.headers.get("content-security-policy") ?? "";
  expect(policy).toStartWith("default-src 'none'; script-src 'sha256-");
  expect(policy).not.toContain("unsafe");
  expect(html.match(/<(script|style)/g)).toHaveLength(2);
  expect(html).not.toMatch(/https?:|url\(|@import|innerHTML|insertAdjacentHTML|document\.write/);
  expect(html).not.toContain("tiny-a");
  const foreign = await fetch(`${stack.url}/`, { headers: { host: "evil.example" } });
  expect(foreign.status).toBe(200);
});

test("without keys the page too is refused under a foreign host name", async () => {
  await using stack = await startStack();
  expect((await fetch(`${stack.url}/`, { headers: { host: "evil.example" } })).status).toBe(400);
});

test(
  "the executable holds the very page that is put together from source",
  async () => {
    await using binary = await startBinary({ toml: 'server.port = 0\nlemonade.url = "http://127.0.0.1:9"\n' });
    const html = await (await fetch(`${binary.url}/`)).text();
    expect(html).toBe(assemble());
    expect(html).toEndWith("</html>\n");
  },
  BUILD_MS,
);
