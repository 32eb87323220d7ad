// Small words for the document. What the server says goes into it as text, never as HTML.

/** The element of index.html with that id. */
export function byId<E extends Element>(id: string, kind: new () => E): E {
  const found = document.getElementById(id);
  if (found instanceof kind) return found;
  throw new Error(`index.html has no ${kind.name} #${id}`);
}

export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, string>> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** A cell of a table that is no table on a phone: the role says that it is one all the same. */
export const cell = (className: string, ...children: (Node | string)[]): HTMLElement =>
  el("td", { role: "cell", class: className }, ...children);

/** A number whose column has no head on a phone: there its label stands before it. */
export const numberCell = (label: string, text: string): HTMLElement =>
  el("td", { role: "cell", class: "num", "data-label": label }, text);

/** Only where it differs: what is written anew loses a selection. */
export function put(node: Element, text: string | number): void {
  if (node.textContent !== String(text)) node.textContent = String(text);
}

/** A dot and its word: the kind decides the colour and shape. */
export function mark(node: HTMLElement, kind: string, text: string): void {
  node.dataset["kind"] = kind;
  if (node.lastElementChild) put(node.lastElementChild, text);
}

/** Says it to a screen reader. */
export function say(text: string): void {
  byId("said", HTMLParagraphElement).textContent = text;
}

/** Nodes that stay are not moved: a move would take the focus and the selection. */
export function arrange(parent: Element, nodes: readonly Element[]): void {
  const wanted = new Set(nodes);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  nodes.forEach((node, at) => {
    if (parent.children[at] !== node) parent.insertBefore(node, parent.children[at] ?? null);
  });
}

/** A button that cannot be used now can still be reached, and says that it is off. */
export function enable(button: HTMLButtonElement, isEnabled: boolean): void {
  button.setAttribute("aria-disabled", String(!isEnabled));
}

export const isEnabled = (button: HTMLButtonElement): boolean => button.getAttribute("aria-disabled") !== "true";

/** Draws once for many changes, and not at all while nobody looks. */
export function coalesced(draw: () => void): () => void {
  let isDue = false;
  return () => {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(() => {
      isDue = false;
      draw();
    });
  };
}
