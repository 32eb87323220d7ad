// The link to the metrics. A link carries no key: where one is needed the page asks for them itself and shows what came.
import { byId } from "./dom.ts";
import type { Server } from "./server.ts";

export function createMetricsLink(server: Server): void {
  byId("metrics", HTMLAnchorElement).onclick = (event) => {
    if (!server.hasKey) return;
    event.preventDefault();
    // Opened now: a browser takes a window that opens after an answer for an advertisement.
    const shown = open("", "_blank");
    void server
      .ask("/metrics")
      .then((response) => response.text())
      .then((text) => {
        if (!shown) return;
        const pre = shown.document.createElement("pre");
        pre.textContent = text;
        shown.document.body.append(pre);
      })
      .catch(() => shown?.close());
  };
}
