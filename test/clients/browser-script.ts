// What a web page does that asks this server by the official SDKs; bundled for the browser and called by the test.
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";

const ask = { model: "primary", messages: [{ role: "user" as const, content: "hello" }], max_tokens: 4 };

/** What each said, plain and streaming, and how a refused request looks to a page. */
async function askAll(url: string, apiKey: string): Promise<Record<string, unknown>> {
  const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey, dangerouslyAllowBrowser: true, maxRetries: 0 });
  const anthropic = new Anthropic({ baseURL: url, apiKey, dangerouslyAllowBrowser: true, maxRetries: 0 });
  const { data, response } = await openai.chat.completions.create(ask).withResponse();
  const refusal = await openai.chat.completions
    .create({ ...ask, model: "nobody" })
    .catch((error: unknown) => (error instanceof OpenAI.APIError ? `${error.status} ${error.code}` : String(error)));
  const message = await anthropic.messages.create(ask);
  return {
    models: (await openai.models.list()).data.some(({ id }) => id === "primary"),
    openai: data.choices[0]?.message.content,
    requestId: response.headers.get("x-request-id"),
    upstream: response.headers.get("x-hal0-upstream"),
    openaiStream: await openai.chat.completions.stream(ask).finalContent(),
    anthropic: message.content.map((block) => (block.type === "text" ? block.text : "")).join(""),
    anthropicStream: await anthropic.messages.stream(ask).finalText(),
    refusal,
  };
}

Object.assign(globalThis, { askAll });
