// The status page as it is sent: one document under a policy that lets nothing else in. Holds no data.
import type { Handler } from "../http/fixed-route.ts";
import { assemble, readme } from "./assemble.ts" with { type: "macro" };

/** The handler of `GET /`. The page's own script and style are allowed by their hashes, and it may ask its own server. */
export function statusPage(): Handler {
  const html = assemble();
  const hash = (element: "script" | "style"): string => {
    const content = new RegExp(`<${element}\\b[^>]*>(.*?)</${element}>`, "s").exec(html)?.[1] ?? "";
    return `'sha256-${new Bun.CryptoHasher("sha256").update(content).digest("base64")}'`;
  };
  const policy = [
    "default-src 'none'",
    `script-src ${hash("script")}`,
    `style-src ${hash("style")}`,
    "connect-src 'self'",
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; ");
  const headers = {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": policy,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
  };
  return () => new Response(html, { headers });
}

/** The handler of `GET /README.md`, which the page links to. */
export function readmeText(): Handler {
  const text = readme();
  return () => new Response(text, { headers: { "content-type": "text/plain; charset=utf-8" } });
}
