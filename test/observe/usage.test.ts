// The tokens of a reply, read from its ends: the same as whoever parses all of it would find.
import { expect, test } from "bun:test";
import { noBody, see, type Tokens, tokensIn } from "../../src/observe/usage.ts";
import { readRecording } from "../lemond/recording.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

function tokensOf(text: string, chunkBytes = Number.POSITIVE_INFINITY): Tokens {
  const ends = noBody();
  const all = bytes(text);
  for (let at = 0; at < all.length; at += chunkBytes) see(ends, all.slice(at, at + chunkBytes));
  return tokensIn(ends);
}

/** What parsing everything finds. */
function parsed(text: string): Tokens {
  const values: Record<string, Record<string, number> | undefined>[] = text.startsWith("{")
    ? [JSON.parse(text)]
    : [...text.matchAll(/^data: (\{.*)$/gm)].map(([, data = ""]) => JSON.parse(data));
  const usage = values.findLast((value) => value["usage"])?.["usage"];
  const timings = values.findLast((value) => value["timings"])?.["timings"];
  const evaluated = timings === undefined ? null : (timings["prompt_n"] ?? 0) + (timings["cache_n"] ?? 0);
  return {
    prompt: usage?.["prompt_tokens"] ?? usage?.["input_tokens"] ?? evaluated,
    completion: usage?.["completion_tokens"] ?? usage?.["output_tokens"] ?? timings?.["predicted_n"] ?? null,
    perSecond: timings?.["predicted_per_second"] ?? null,
  };
}

test.each(["10.6", "11.7"])(
  "every recorded reply of lemond %s and its children gives the tokens that it holds",
  async (folder) => {
    let seen = 0;
    for (const { body, status } of await readRecording(folder, "")) {
      if (status !== 200 || !/^(\{|data: )/.test(body) || !/"(usage|timings)"/.test(body)) continue;
      const expected = parsed(body);
      for (const chunkBytes of [1, 700, Number.POSITIVE_INFINITY]) expect(tokensOf(body, chunkBytes)).toEqual(expected);
      seen++;
    }
    expect(seen).toBeGreaterThan(10);
  },
);

test("Anthropic's prompt is counted in the first event and its answer in the last, with what came from the cache", () => {
  const filler = 'data: {"type":"content_block_delta","delta":{"text":"word "}}\n\n'.repeat(2000);
  const stream = `event: message_start
data: {"type":"message_start","message":{"usage":{"cache_read_input_tokens":30,"input_tokens":2,"output_tokens":0}}}

${filler}event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2000}}

`;
  for (const chunkBytes of [300, Number.POSITIVE_INFINITY])
    expect(tokensOf(stream, chunkBytes)).toEqual({ prompt: 32, completion: 2000, perSecond: null });
});

test("vectors follow their usage: it is found at the beginning of a large body", () => {
  const body = `{"model":"e","usage":{"prompt_tokens":7,"total_tokens":7},"data":[${"0.123,".repeat(40_000)}0]}`;
  expect(tokensOf(body)).toEqual({ prompt: 7, completion: null, perSecond: null });
});

test("a model that writes about usage is not believed, nor is a null that follows the numbers", () => {
  const told = JSON.stringify({ choices: [{ delta: { content: '"usage":{"prompt_tokens":999}' } }], usage: null });
  const counted = JSON.stringify({ choices: [], usage: { prompt_tokens: 5, completion_tokens: 6 } });
  expect(tokensOf(`data: ${counted}\n\ndata: ${told}\n\ndata: [DONE]\n\n`)).toEqual({
    prompt: 5,
    completion: 6,
    perSecond: null,
  });
  expect(tokensOf(`data: ${told}\n\n`)).toEqual({ prompt: null, completion: null, perSecond: null });
});

test.each([
  "",
  "{",
  '{"usage":',
  '{"usage":{"prompt_tokens":',
  '{"usage":{"prompt_tokens":"many"}}',
  '{"usage":{"prompt_tokens":-1}}',
  '{"usage":{"prompt_tokens":1e308,"completion_tokens":1e308},"timings":{"predicted_per_second":1e999}}',
  `{"usage":{"prompt_tokens":${Number.MAX_SAFE_INTEGER + 1}}}`,
  '{"usage":"none"}',
  '{"usage":{{}',
])("a body of %j says nothing of tokens", (body) => {
  expect(tokensOf(body)).toEqual({ prompt: null, completion: null, perSecond: null });
});

test("a stream of a hundred megabytes takes a few kilobytes", () => {
  const ends = noBody();
  const chunk = bytes("x".repeat(1024));
  const before = process.memoryUsage().arrayBuffers;
  for (let n = 0; n < 100_000; n++) see(ends, chunk.slice());
  Bun.gc(true);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1024 * 1024);
  see(ends, bytes('{"usage":{"prompt_tokens":1,"completion_tokens":2}}'));
  expect(tokensIn(ends)).toEqual({ prompt: 1, completion: 2, perSecond: null });
});
