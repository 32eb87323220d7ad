// The event feed: what its readers are told, and when.
import { expect, test } from "bun:test";
import { createEvents, LOOK_MS } from "../../src/http/feed.ts";
import { follow, serveEvents, noLog, noRecords, slotNow, status, type Told } from "../feed.ts";
import { stackConfig, startStack } from "../stack.ts";

test("a reader is told all slots at once, as the slot API shows them, then the server and the last hour", async () => {
  await using stack = await startStack({
    slots: [
      { name: "primary", model: "tiny-a", isDefault: true },
      { name: "second", model: "tiny-b" },
    ],
  });
  const response = await fetch(`${stack.url}/api/slots/events`);
  expect(response.headers.get("content-type")).toStartWith("text/event-stream");
  expect(response.headers.get("cache-control")).toBe("no-store");
  const feed = follow(response);
  await feed.until(({ event }) => event === "history");
  expect(feed.told.map(({ event }) => event)).toEqual(["slot", "slot", "server", "totals", "history"]);
  const slots = (await (await fetch(`${stack.url}/api/slots`)).json()) as Told["data"][];
  expect(feed.told.slice(0, 2).map(({ data }) => data)).toEqual(slots);
  expect(feed.told[2]?.data).toMatchObject({ status: "ok", lemonade: { up: true }, slots: ["primary", "second"] });
  expect(feed.told[3]?.data).toMatchObject({ today: { served: 0, waited_ms: 0 }, week: { served: 0 } });
  expect(feed.told[4]?.data["transitions"]).toContainEqual(
    expect.objectContaining({ slot: "primary", from: "offline", to: "ready" }),
  );
  await feed.cancel();
});

test("a recovery is told as it happens: the slot, its transitions, the repair", async () => {
  // No poll may notice the eviction first.
  await using stack = await startStack({ lemonade: { pollMs: 60_000 } });
  const feed = follow(await fetch(`${stack.url}/api/slots/events`));
  await feed.until(({ event }) => event === "history");
  const loads = stack.lemond.holdLoads();
  await stack.child().kill();
  const reply = stack.chat();
  await feed.until(({ event, data }) => event === "slot" && data["state"] === "starting" && data["waiting"] === 1);
  loads.release();
  await (await reply).text();
  const { data } = await feed.until(({ event }) => event === "repair");
  expect(data).toMatchObject({ slot: "primary", outcome: "recovered", to: stack.child().url });
  await feed.until(({ event, data }) => event === "slot" && data["generation"] === 2 && data["state"] === "ready");
  const moves = feed.told.filter(({ event }) => event === "transition").map(({ data }) => data["to"]);
  expect(moves).toEqual(["offline", "starting", "warming", "ready"]);
  await feed.cancel();
});

test("lemond down and back is told, and so is a slot that the configuration no longer has", async () => {
  await using stack = await startStack({
    slots: [
      { name: "primary", model: "tiny-a", isDefault: true },
      { name: "second", model: "tiny-b" },
    ],
  });
  const feed = follow(await fetch(`${stack.url}/api/slots/events`));
  const config = stackConfig(stack.lemond.url);
  stack.server.reload(config);
  await feed.until(({ event, data }) => event === "server" && JSON.stringify(data["slots"]) === '["primary"]');
  await stack.lemond.kill();
  await feed.until(({ event, data }) => event === "server" && JSON.stringify(data["lemonade"]).includes("false"));
  const known = feed.told.length;
  await stack.lemond.restart();
  const { data } = await feed.until((told) => told.event === "server" && feed.told.indexOf(told) >= known);
  expect(data["lemonade"]).toMatchObject({ up: true });
  await feed.cancel();
});

test("a slot that changes a thousand times a second is told a few times, its newest state last", async () => {
  let count = 0;
  await using served = serveEvents(() => [slotNow({ in_flight: count })]);
  const feed = follow(await fetch(served.url));
  const timer = setInterval(() => count++, 1);
  const startedMs = performance.now();
  await feed.until(({ data }) => Number(data["in_flight"]) > 300);
  clearInterval(timer);
  const newest = count;
  await feed.until(({ data }) => data["in_flight"] === newest);
  const looks = (performance.now() - startedMs) / LOOK_MS;
  expect(feed.told.filter(({ event }) => event === "slot").length).toBeLessThanOrEqual(looks + 2);
  await feed.cancel();
});

test("a slot that does not change is told once", async () => {
  await using served = serveEvents(() => [slotNow()]);
  const feed = follow(await fetch(served.url));
  await feed.until(({ event }) => event === "history");
  const second = follow(await fetch(served.url));
  await second.until(({ event }) => event === "history");
  served.events.entered("primary", "ready");
  await Bun.sleep(LOOK_MS * 3);
  await feed.until(({ event }) => event === "transition");
  expect(feed.told.map(({ event }) => event)).toEqual(["slot", "server", "totals", "history", "transition"]);
  await Promise.all([feed.cancel(), second.cancel()]);
});

test("states that come with every request are no history", async () => {
  const events = createEvents({ slots: () => [], status, records: noRecords, log: noLog });
  for (const state of ["ready", "serving", "ready", "idle", "ready", "offline"] as const)
    events.entered("primary", state);
  const feed = follow(events.open(new Request("http://localhost/")));
  const { data } = await feed.until(({ event }) => event === "history");
  const moves = data["transitions"] as { from: string; to: string }[];
  expect(moves.map(({ from, to }) => `${from} ${to}`)).toEqual(["offline ready", "ready offline"]);
  events.close();
});

test("the feeds end at once when the server stops, and none is opened afterwards", async () => {
  await using stack = await startStack();
  const feeds = await Promise.all([1, 2, 3].map(async () => follow(await fetch(`${stack.url}/api/slots/events`))));
  for (const feed of feeds) await feed.until(({ event }) => event === "history");
  const startedMs = performance.now();
  await Promise.all([stack.server.stop(), ...feeds.map((feed) => feed.ended())]);
  expect(performance.now() - startedMs).toBeLessThan(800);
  const events = createEvents({ slots: () => [], status, records: noRecords, log: noLog });
  events.close();
  expect(() => events.open(new Request("http://localhost/"))).toThrow("stopping");
});

test("the feed needs a key where keys are set", async () => {
  await using stack = await startStack({ server: { apiKeys: ["right"] } });
  const refused = await fetch(`${stack.url}/api/slots/events`);
  expect(refused.status).toBe(401);
  expect(await refused.text()).not.toContain("tiny-a");
  const feed = follow(await fetch(`${stack.url}/api/slots/events`, { headers: { authorization: "Bearer right" } }));
  await feed.until(({ event }) => event === "slot");
  await feed.cancel();
});
