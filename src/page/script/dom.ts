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

/** The same nodes stay where they are: what is moved in the document loses the focus. */
export function arrange(parent: Element, nodes: readonly Element[]): void {
  const { children } = parent;
  if (nodes.length !== children.length || nodes.some((node, at) => children[at] !== node))
    parent.replaceChildren(...nodes);
}
