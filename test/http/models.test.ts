// GET models: what may be asked for by name.
import { describe, expect, test } from "bun:test";
import type { Config } from "../../src/config/config.ts";
import { errorOf, modelsOf } from "../envelope.ts";
import { startStack } from "../stack.ts";

const PREFIXES = ["/v1", "/api/v1", "/v0", "/api/v0"];
const upstreams: Config["upstreams"] = [
  { name: "router", url: "http://127.0.0.1:9", apiKey: null, models: ["openai/*", "meta/llama 3/ü", "tiny-b"] },
];
const slots = [{ name: "primary", model: "tiny-a", aliases: ["gpt-4o"], isDefault: true }];

describe("GET models", () => {
  test("lists slots, aliases, lemond's models and the remotes' names without patterns, each once", async () => {
    await using stack = await startStack({ slots, upstreams });
    for (const prefix of PREFIXES) {
      const response = await fetch(`${stack.url}${prefix}/models`);
      expect([response.status, response.headers.get("content-type")?.split(";")[0]]).toEqual([200, "application/json"]);
      const models = await modelsOf(response);
      expect(models.map(({ id }) => id)).toEqual([
        "primary",
        "gpt-4o",
        "tiny-a",
        "tiny-b",
        "tiny-slow",
        "tiny-emb",
        "tiny-rr",
        "meta/llama 3/ü",
      ]);
      for (const model of models)
        expect(model).toMatchObject({ object: "model", created: expect.any(Number), owned_by: "hal0-dispatch" });
    }
    expect(stack.lemond.loads()).toBe(1);
  });

  test("says of a slot and its aliases what lemond says of their model", async () => {
    await using stack = await startStack({ slots });
    const models = await modelsOf(await fetch(`${stack.url}/v1/models`));
    const said = ({ labels, context_length, checkpoint }: Record<string, unknown>) => ({
      labels,
      context_length,
      checkpoint,
    });
    const of = (id: string) => said(models.find((model) => model.id === id) ?? {});
    expect(of("tiny-a")).toMatchObject({ labels: ["custom", "chat"], checkpoint: "/models/tiny-a.gguf" });
    expect([of("primary"), of("gpt-4o")]).toEqual([of("tiny-a"), of("tiny-a")]);
    expect(JSON.stringify(of("meta/llama 3/ü"))).toBe("{}");
  });

  test("asks lemond for all that it could download where the client does", async () => {
    await using stack = await startStack({ slots });
    const asked = () => stack.lemond.calls.filter(({ path }) => path === "/v1/models?show_all=true").length;
    await fetch(`${stack.url}/v1/models?show_all=false&api_key=canary`);
    expect(asked()).toBe(0);
    const ids = (await modelsOf(await fetch(`${stack.url}/v1/models?show_all=true&api_key=canary`))).map(
      ({ id }) => id,
    );
    expect(asked()).toBe(1);
    expect(ids.slice(0, 3)).toEqual(["primary", "gpt-4o", "tiny-a"]);
    expect(new Set(ids).size).toBe(ids.length);
    expect(JSON.stringify(stack.lemond.calls)).not.toContain("canary");
  });

  test("lists no model of lemond's where implicit slots are switched off", async () => {
    await using stack = await startStack({ slots, upstreams, lemonade: { autoSlots: false } });
    const models = await modelsOf(await fetch(`${stack.url}/v1/models`));
    expect(models.map(({ id }) => id)).toEqual(["primary", "gpt-4o", "meta/llama 3/ü", "tiny-b"]);
  });

  test("gives one by its name, with slashes and encoded or not", async () => {
    await using stack = await startStack({ slots, upstreams });
    for (const prefix of PREFIXES)
      for (const [path, id] of [
        ["tiny-a", "tiny-a"],
        ["gpt-4o", "gpt-4o"],
        ["meta/llama%203/%C3%BC", "meta/llama 3/ü"],
        ["meta%2Fllama%203%2f%C3%BC", "meta/llama 3/ü"],
      ]) {
        const response = await fetch(`${stack.url}${prefix}/models/${path}`);
        expect(response.status).toBe(200);
        expect(await response.json()).toMatchObject({ id, object: "model", owned_by: "hal0-dispatch" });
      }
  });

  test.each(["nothing", "a/b/c", "%ff", "%zz", "__proto__", "tiny-a/", "openai/*"])(
    "gives none by the name %s, and says what there is",
    async (path) => {
      await using stack = await startStack({ slots, upstreams });
      const response = await fetch(`${stack.url}/v1/models/${path}`);
      expect(response.status).toBe(404);
      const error = await errorOf(response);
      expect(error).toMatchObject({ code: "dispatch.no_route", type: "invalid_request_error", param: null });
      expect(error.details["available"]).toContain("primary");
    },
  );
});
