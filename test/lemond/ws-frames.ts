// WebSocket frames (RFC 6455): a client's bytes in, messages out; and what a server sends. Pure.

export type Frame =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "binary"; readonly bytes: Buffer }
  | { readonly kind: "close"; readonly code: number; readonly reason: string }
  | { readonly kind: "ping"; readonly bytes: Buffer }
  | { readonly kind: "pong" };

export interface FrameReader {
  feed(bytes: Uint8Array): readonly Frame[];
}

export function createFrameReader(): FrameReader {
  let pending: Buffer = Buffer.alloc(0);
  let message: { readonly opcode: number; readonly parts: Buffer[] } | undefined;

  const step = (): Frame | "more" | "none" => {
    const found = headOf(pending);
    if (found === undefined) return "none";
    const { isLast, opcode, mask, begin, length } = found;
    if (pending.length < begin + length) return "none";
    const payload = Buffer.from(pending.subarray(begin, begin + length));
    pending = pending.subarray(begin + length);
    if (mask !== undefined)
      for (let at = 0; at < length; at += 1) payload[at] = (payload[at] ?? 0) ^ (mask[at & 3] ?? 0);
    if (opcode >= 8) return frameOf(opcode, payload);
    message ??= { opcode, parts: [] };
    message.parts.push(payload);
    if (!isLast) return "more";
    const { opcode: first, parts } = message;
    message = undefined;
    return frameOf(first, Buffer.concat(parts));
  };

  return {
    feed(bytes) {
      pending = Buffer.concat([pending, bytes]);
      const frames: Frame[] = [];
      for (let next = step(); next !== "none"; next = step()) if (next !== "more") frames.push(next);
      return frames;
    },
  };
}

function headOf(bytes: Buffer) {
  if (bytes.length < 2) return undefined;
  const [first = 0, second = 0] = bytes;
  const short = second & 127;
  const sizeBytes = short === 126 ? 2 : short === 127 ? 8 : 0;
  const isMasked = (second & 128) !== 0;
  const begin = 2 + sizeBytes + (isMasked ? 4 : 0);
  if (bytes.length < begin) return undefined;
  const length = sizeBytes === 2 ? bytes.readUInt16BE(2) : sizeBytes === 8 ? Number(bytes.readBigUInt64BE(2)) : short;
  const mask = isMasked ? bytes.subarray(begin - 4, begin) : undefined;
  return { isLast: (first & 128) !== 0, opcode: first & 15, mask, begin, length };
}

function frameOf(opcode: number, payload: Buffer): Frame {
  switch (opcode) {
    case 2:
      return { kind: "binary", bytes: payload };
    case 8:
      return payload.length < 2
        ? { kind: "close", code: 1005, reason: "" }
        : { kind: "close", code: payload.readUInt16BE(0), reason: payload.subarray(2).toString("utf8") };
    case 9:
      return { kind: "ping", bytes: payload };
    case 10:
      return { kind: "pong" };
    default:
      return { kind: "text", text: payload.toString("utf8") };
  }
}

export function frameBytes(opcode: 1 | 2 | 8 | 9 | 10, payload: Uint8Array): Buffer {
  const { length } = payload;
  const head = length < 126 ? Buffer.alloc(2) : length < 65_536 ? Buffer.alloc(4) : Buffer.alloc(10);
  head[0] = 128 | opcode;
  head[1] = length < 126 ? length : length < 65_536 ? 126 : 127;
  if (head.length === 4) head.writeUInt16BE(length, 2);
  if (head.length === 10) head.writeBigUInt64BE(BigInt(length), 2);
  return Buffer.concat([head, payload]);
}

/** 1005 stands for a close without a code. */
export function closeBytes(code: number, reason = ""): Buffer {
  if (code === 1005) return frameBytes(8, Buffer.alloc(0));
  const payload = Buffer.alloc(2 + Buffer.byteLength(reason));
  payload.writeUInt16BE(code, 0);
  payload.write(reason, 2);
  return frameBytes(8, payload);
}
