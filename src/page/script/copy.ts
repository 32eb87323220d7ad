// A request id, short, with a button that shows its log and one that copies it.
import { el, say } from "./dom.ts";

const SHORT_CHARS = 8;

export function requestIdNode(id: string, onShow: (id: string) => void): HTMLElement {
  const short = id.length > SHORT_CHARS ? `${id.slice(0, SHORT_CHARS)}…` : id;
  const show = el(
    "button",
    { class: "plain mono", title: id, "aria-label": `${short} Show the log of request ${id}` },
    short,
  );
  show.onclick = () => onShow(id);
  const copy = el("button", { class: "copy", title: "Copy", "aria-label": `Copy request id ${id}` }, "copy");
  copy.onclick = () => void copyText(id, copy);
  return el("span", { class: "id" }, show, copy);
}

/** `navigator.clipboard` is there only where the page comes from this machine or by https. */
async function copyText(text: string, button: HTMLElement): Promise<void> {
  try {
    if (navigator.clipboard) await navigator.clipboard.writeText(text);
    else copyBySelection(text);
    button.textContent = "copied";
    say("Copied.");
  } catch {
    button.textContent = "refused";
    say("The browser did not let it be copied.");
  }
  setTimeout(() => (button.textContent = "copy"), 1500);
}

function copyBySelection(text: string): void {
  const focused = document.activeElement;
  const field = el("textarea", { class: "out", "aria-hidden": "true" }, text);
  document.body.append(field);
  field.select();
  const isCopied = document.execCommand("copy");
  field.remove();
  if (focused instanceof HTMLElement) focused.focus();
  if (!isCopied) throw new Error("not copied");
}
