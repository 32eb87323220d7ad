// Steps that the tests of the simulated llama-server share.
import type { Child, Lemond } from "./index.ts";
import { openRaw, parseReply, requestText } from "./raw-client.ts";

export async function startChild(lemond: Lemond): Promise<Child> {
  await lemond.load("tiny-a");
  const child = lemond.child("tiny-a");
  if (child === undefined) throw new Error("no child");
  return child;
}

export const post = (sim: object, more: object = {}, headers: readonly string[] = []): string =>
  requestText("POST", "/v1/chat/completions", headers, JSON.stringify({ messages: [], sim, ...more }));
export const probe = requestText("GET", "/health", [], "");

/** What a client sees of one request: the text, and how the connection ended. */
export async function outcome(child: Child, text: string) {
  const connection = await openRaw(child.port);
  connection.send(text);
  const end = await connection.end;
  return { end, text: connection.text(), reply: parseReply(connection.text()) };
}

export const fetchCode = async (child: Child, body: object): Promise<unknown> => {
  try {
    const response = await fetch(`${child.url}/chat/completions`, {
      method: "POST",
      body: JSON.stringify(body),
      keepalive: false,
    });
    await response.text();
    return response.status;
  } catch (cause) {
    return cause instanceof Error && "code" in cause ? cause.code : cause;
  }
};
