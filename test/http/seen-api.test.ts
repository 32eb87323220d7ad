// What the page and scripts look at: the log's last lines, every model with what its load would cost, the README.
import { expect, test } from "bun:test";
import type { ModelEntry } from "../../src/http/seen-api.ts";
import type { Listing, LoadedModel } from "../../src/lemonade/listing.ts";
import { evictedFor } from "../../src/lemonade/room.ts";
import type { LogLine } from "../../src/observe/log.ts";
import { follow } from "../feed.ts";
import { startStack, type Stack } from "../stack.ts";

const get = async <T>({ url }: Stack, path: string): Promise<T> => (await (await fetch(`${url}${path}`)).json()) as T;

test("every model that lemond knows is listed, with its slot and what a load of it would unload", async () => {
  await using stack = await startStack({ slots: [{ name: "primary", model: "tiny-a", isDefault: true }] });
  const models = await get<ModelEntry[]>(stack, "/api/models");
  const entry = (model: string) => models.find((one) => one.model === model);
  expect(entry("tiny-a")).toEqual({
    model: "tiny-a",
    type: "llm",
    slot: "primary",
    loaded: true,
    downloaded: true,
    size_gb: null,
    evicts: [],
  });
  expect(entry("tiny-b")).toMatchObject({ slot: null, loaded: false, evicts: ["tiny-a"] });
  expect(entry("tiny-emb")).toMatchObject({ type: "embedding", loaded: false, evicts: [] });
});

test("a model that has no slot is loaded by its name, and unloads what was said", async () => {
  await using stack = await startStack();
  const load = (name: string) => stack.post(`/api/slots/${encodeURIComponent(name)}/load`, "");
  expect((await load("no such model")).status).toBe(404);
  expect(await (await load("tiny-b")).json()).toMatchObject({ name: "tiny-b", model: "tiny-b", state: "ready" });
  expect(stack.lemond.loads("tiny-b")).toBe(1);
  await stack.slotIs(({ state }) => state === "offline");
  expect((await get<ModelEntry[]>(stack, "/api/models")).find(({ model }) => model === "tiny-a")?.evicts).toEqual([
    "tiny-b",
  ]);
});

test("without auto_slots a model without a slot is not loaded", async () => {
  await using stack = await startStack({ lemonade: { autoSlots: false } });
  expect((await stack.post("/api/slots/tiny-b/load", "")).status).toBe(404);
  expect(stack.lemond.loads("tiny-b")).toBe(0);
});

test("of several models the one used longest ago goes; none where there is room, no limit, or nothing is known", () => {
  const loaded = (model: string, lastUse: number | null, type = "llm") => ({ model, lastUse, type }) as LoadedModel;
  const listing = (limit: unknown): Listing =>
    ({
      loaded: [loaded("a", 30), loaded("b", 10), loaded("c", 20), loaded("e", 1, "embedding")],
      maxModels: { llm: limit },
    }) as unknown as Listing;
  expect(evictedFor(listing(3), "d", "llm")).toEqual(["b"]);
  expect(evictedFor(listing(2), "d", "llm")).toEqual(["b", "c"]);
  expect(evictedFor(listing(4), "d", "llm")).toEqual([]);
  expect(evictedFor(listing(-1), "d", "llm")).toEqual([]);
  expect(evictedFor(listing(3), "a", "llm")).toEqual([]);
  expect(evictedFor(listing("?"), "d", "llm")).toEqual([]);
  expect(evictedFor(null, "d", "llm")).toEqual([]);
});

test("the log's last lines can be had, all of them or those of one request", async () => {
  await using stack = await startStack({ lemonade: { pollMs: 60_000 } });
  await (await stack.chat({ headers: { "x-request-id": "one" } })).text();
  await stack.child().kill();
  await (await stack.chat({ headers: { "x-request-id": "two" } })).text();
  const lines = await get<LogLine[]>(stack, "/api/log");
  expect(lines).toEqual(stack.lines as LogLine[]);
  const events = (await get<LogLine[]>(stack, "/api/log?request_id=two")).map(({ event }) => event);
  expect(events).toContain("dispatch.upstream_dead_attempting_recover");
  expect(events.at(-1)).toBe("dispatch.decision");
  expect(lines.filter((line) => line["request_id"] === "one")).toHaveLength(1);
  expect(await get<LogLine[]>(stack, "/api/log?request_id=three")).toEqual([]);
});

test("the feed tells of new lines, many in one event", async () => {
  await using stack = await startStack();
  const feed = follow(await fetch(`${stack.url}/api/slots/events`));
  await feed.until(({ event }) => event === "history");
  const ids = Array.from({ length: 40 }, (_, n) => `r${n}`);
  await Promise.all(ids.map(async (id) => (await stack.chat({ headers: { "x-request-id": id } })).text()));
  const answered = (): unknown[] =>
    feed.told
      .flatMap(({ event, data }) => (event === "log" ? (data["lines"] as LogLine[]) : []))
      .flatMap((line) => (line.event === "dispatch.decision" ? line["request_id"] : []));
  await feed.until(() => answered().length >= ids.length);
  expect(answered().toSorted()).toEqual(ids.toSorted());
  expect(feed.told.filter(({ event }) => event === "log").length).toBeLessThan(ids.length);
  await feed.cancel();
});

test("the log needs a key where keys are set; the README and the page need none", async () => {
  await using stack = await startStack({ server: { apiKeys: ["right"] } });
  for (const path of ["/api/log", "/api/models"]) expect((await fetch(`${stack.url}${path}`)).status).toBe(401);
  const readme = await fetch(`${stack.url}/README.md`);
  expect([readme.status, readme.headers.get("content-type")]).toEqual([200, "text/plain; charset=utf-8"]);
  expect(await readme.text()).toStartWith("# hal0-dispatch");
});
