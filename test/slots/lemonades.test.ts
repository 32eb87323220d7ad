// Several lemonds behind one door: each serves the slots that name it, and one that hangs holds up nobody else's.
import { expect, test } from "bun:test";
import { ended } from "../ended.ts";
import { startLemond } from "../lemond/index.ts";
import { startRemote } from "../remote.ts";
import { stackConfig, startStack } from "../stack.ts";

const further = (name: string, url: string) => ({ ...stackConfig(url).lemonade, name, autoSlots: false });

test("each lemond serves the slots that name it, under turns and room of its own", async () => {
  await using second = await startLemond({ version: "10.6" });
  const slots = [
    { name: "primary", model: "tiny-a", isDefault: true },
    { name: "other", model: "tiny-a", lemonade: "attic" },
  ];
  // The chat finds the child dead, not a poll before it.
  const attic = { ...further("attic", second.url), pollMs: 60_000 };
  await using stack = await startStack({ slots, lemonades: [attic] });
  const [here, there] = await Promise.all(["primary", "other"].map((model) => ended(stack.chat({ model }))));
  expect(here).toMatchObject({ status: 200, label: null });
  expect(there).toMatchObject({ status: 200, label: "loaded" });
  expect([stack.lemond.loads(), second.loads()]).toEqual([1, 1]);
  await second.child("tiny-a")?.kill();
  expect(await ended(stack.chat({ model: "other" }))).toMatchObject({ status: 200, label: "recovered" });
  expect([stack.lemond.loads(), stack.lemond.unloads(), second.loads()]).toEqual([1, 0, 2]);
  const health = await (await fetch(`${stack.url}/health`)).json();
  expect(health).toMatchObject({ lemonades: { lemonade: { up: true }, attic: { up: true, version: "10.6.0" } } });
  const metrics = await (await fetch(`${stack.url}/metrics`)).text();
  expect(metrics).toContain('hal0_dispatch_lemonade_up{lemonade="attic"} 1');
});

test("one that takes connections and never answers holds up nobody else's slots", async () => {
  await using mute = await startRemote(() => null);
  const slots = [
    { name: "primary", model: "tiny-a", isDefault: true },
    { name: "lost", model: "tiny-b", lemonade: "attic", holdMs: 500 },
  ];
  await using stack = await startStack({ slots, lemonades: [further("attic", mute.url)] });
  const lost = ended(stack.chat({ model: "lost" }));
  await stack.child().kill();
  // The poll may have found the child dead before the chat does.
  expect(await ended(stack.chat())).toMatchObject({
    status: 200,
    label: expect.stringMatching(/^(recovered|loaded)$/),
  });
  for (let chats = 0; chats < 20; chats++) expect((await stack.chat()).status).toBe(200);
  expect(await lost).toMatchObject({ status: 502, details: { cause: "not loaded: lemond does not answer" } });
});
