// Which answers of lemond's say that a child was lost. No sockets.
import { expect, test } from "bun:test";
import { isLostAtLemond } from "../../src/lemonade/lost.ts";

const object = (fields: object): string => JSON.stringify({ error: { message: "x", ...fields } });

test.each([
  ["10.6, plain", object({ type: "network_error" }), true],
  ["10.6, in a stream", `data: ${object({ type: "streaming_error" })}\n\n`, true],
  ["11.7", object({ type: "backend_error", details: { code: "backend_unavailable" } }), true],
  ["11.7, by its watchdog", object({ details: { code: "backend_watchdog_reset" } }), true],
  ["either, nothing loaded", object({ code: "model_not_loaded" }), true],
  ["10.6, on Ollama's routes", '{"error":"Network error: CURL error: Couldn\'t connect to server"}', true],
  ["11.7, on Ollama's routes", `{"error":"Backend for model 'a' is unavailable"}`, true],
  [
    "11.7, by its watchdog, there",
    '{"error":"llama-server was unresponsive and has been reset by the backend watchdog. The model …"}',
    true,
  ],
  ["either, nothing loaded, there", '{"error":"No model loaded: a"}', true],
  ["a model that nobody has", `{"error":"model 'a' not found, try pulling it first"}`, false],
  ["an invalid request", object({ type: "invalid_request_error" }), false],
  ["an answer with the word in it", '{"choices":[{"text":"network_error"}]}', false],
  ["an event of a stream", 'data: {"choices":[]}\n\n', false],
  ["no JSON", "<html>network_error</html>", false],
  ["something long", JSON.stringify({ error: { type: "network_error", message: "x".repeat(20_000) } }), false],
])("%s: %s", (_, text, isLost) => {
  expect(isLostAtLemond(new TextEncoder().encode(text))).toBe(isLost);
});
