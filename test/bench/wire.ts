// The bytes of the children that the benchmark measures against: canned HTTP, as cheap as it can be. Pure.

export const reply = (headers: string, body: string, status = "200 OK"): Buffer =>
  Buffer.from(`HTTP/1.1 ${status}\r\nServer: llama.cpp\r\n${headers}\r\nConnection: close\r\n\r\n${body}`);

export function json(value: unknown, status?: string): Buffer {
  const body = JSON.stringify(value);
  const length = Buffer.byteLength(body);
  return reply(`Content-Type: application/json; charset=utf-8\r\nContent-Length: ${length}`, body, status);
}

export const chunk = (text: string): string => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;

export const STREAM_HEAD = reply("Content-Type: text/event-stream\r\nTransfer-Encoding: chunked", "");
export const STREAM_END = `${chunk("data: [DONE]\n\n")}0\r\n\r\n`;

/** One event of a chat's stream, as a chunk. */
export function event(model: string, delta: object, finish: string | null = null): string {
  const choices = [{ finish_reason: finish, index: 0, delta }];
  return chunk(
    `data: ${JSON.stringify({ choices, created: 1, id: "chatcmpl-bench", model, object: "chat.completion.chunk" })}\n\n`,
  );
}

/** Where the body of a request begins and how long it is; null before its head is whole. */
export function begin(text: string): { readonly length: number; readonly bodyAt: number } | null {
  const end = text.indexOf("\r\n\r\n");
  if (end < 0) return null;
  return { length: Number(/content-length: *(\d+)/i.exec(text.slice(0, end))?.[1] ?? 0), bodyAt: end + 4 };
}

/** What llama-server's argument of that name says. */
export const argument = (name: string): string => process.argv[process.argv.indexOf(name) + 1] ?? "";
