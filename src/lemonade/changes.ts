// What lemond changes of a request for a llamacpp child besides `model`: such a request must go through it. Pure.
// Read in lemond 11.7; where nothing is changed the request may go to the child itself.

/** llama-server refuses a grammar with larger ones; lemond takes them out of tool schemas. */
const LEAST_BOUND = 2000;
const BOUNDS = ["minLength", "maxLength", "minItems", "maxItems"];

/** The fields of a body in which lemond would change something, by the route below the API prefix. */
export const CHANGED_FIELDS: Readonly<Record<string, readonly string[]>> = {
  "chat/completions": ["tools", "thinking", "enable_thinking"],
  responses: ["tools"],
};

/** Any of those fields but `tools` is changed whenever it is present. */
export function isChangedByLemond(fields: Readonly<Record<string, unknown>>): boolean {
  return "enable_thinking" in fields || "thinking" in fields || hasBound(fields["tools"]);
}

/** Walks with a list, not by recursion: a schema may be deeper than the stack. */
function hasBound(tools: unknown): boolean {
  const rest = [tools];
  while (rest.length > 0) {
    const value = rest.pop();
    if (typeof value !== "object" || value === null) continue;
    for (const [key, inner] of Object.entries(value)) {
      if (typeof inner === "number" && inner >= LEAST_BOUND && BOUNDS.includes(key)) return true;
      rest.push(inner);
    }
  }
  return false;
}
