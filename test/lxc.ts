// `bun run lxc`: all of a service's life in the container that it is meant for, which is not part of `verify`: install, the
// network, a chat from another network namespace, kill -9, journal, reload and upgrade under a stream, purge, nothing left.
// Needs root, LXC and debootstrap; `--with-packages` installs the two. `--base DIR` keeps the Debian there for the next time.
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { cpSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { builtExecutable } from "./binary.ts";
import { type Container, makeBase, startContainer } from "./lxc/container.ts";
import { left, mark, tracesOf } from "./lxc/traces.ts";
import { needDebian } from "./need.ts";

const { values } = parseArgs({
  options: { base: { type: "string" }, "with-packages": { type: "boolean", default: false } },
});
const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** Says it when it is done; what throws ends the run. */
async function step<T>(title: string, act: () => Promise<T>): Promise<T> {
  const began = performance.now();
  const result = await act();
  say(`  ok  ${title} (${((performance.now() - began) / 1000).toFixed(1)} s)`);
  return result;
}

const why = await whyNot();
if (why !== null) {
  say(`The container cannot be had here: ${why}`);
  process.exit(1);
}
const kept = values.base === undefined ? null : values.base;
const folder = kept ?? mkdtempSync(join(tmpdir(), "hal0-lxc-base-"));
try {
  if (!existsSync(join(folder, "usr/bin/systemctl"))) {
    const fault = await step("Debian 12, small, with systemd", () => makeBase(folder));
    if (fault !== null) throw new Error(fault);
  }
  await withoutNesting(folder);
  await withNesting(folder);
  say("\nAll of it works.");
} catch (error) {
  say(`\nFAILED: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  if (kept === null) rmSync(folder, { recursive: true, force: true });
}

async function whyNot(): Promise<string | null> {
  if (process.platform !== "linux") return "this is not Linux";
  if (process.getuid?.() !== 0) return "it takes root to start a container with user ids of its own";
  const mayInstall = values["with-packages"];
  for (const [name, command] of [
    ["lxc", "lxc-start"],
    ["debootstrap", "debootstrap"],
    ["iproute2", "ip"],
  ] as const)
    if ((await needDebian(name, command, mayInstall)) === null)
      return `there is no ${command}: apt-get install --no-install-recommends ${name}, or --with-packages`;
  return null;
}

/** Lemonade and the built program in a fresh container. */
async function furnished(base: string, name: string, index: number, areMountsRefused: boolean): Promise<Container> {
  const container = await startContainer({ name, base, areMountsRefused, index });
  const at = (path: string): string => join(container.rootfs, path);
  for (const part of ["test/lemond", "test/lxc", "test/wire"])
    cpSync(part, at(`opt/lemonade/${part}`), { recursive: true });
  cpSync("src", at("opt/lemonade/src"), { recursive: true });
  cpSync(process.execPath, at("opt/lemonade/bun"));
  cpSync(await builtExecutable(), at("root/hal0-dispatch"));
  writeFileSync(
    at("etc/systemd/system/lemond.service"),
    "[Service]\nWorkingDirectory=/opt/lemonade\nExecStart=/opt/lemonade/bun test/lxc/lemonade.ts\n",
  );
  await container.must("systemctl", "daemon-reload");
  await container.must("systemctl", "start", "lemond.service");
  return container;
}

function lastLines(text: string, count: number): string[] {
  return text.trim().split("\n").slice(-count);
}

/** The program's own folder and the network as a client elsewhere has it: it runs outside of the container's namespaces. */
function clientOf(container: Container, key: string) {
  const url = `http://${container.address}:8080`;
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  const chat = async (more: object = {}): Promise<Response> =>
    fetch(`${url}/v1/chat/completions`, {
      method: "POST",
      headers,
      body: JSON.stringify({ model: "tiny-a", messages: [{ role: "user", content: "Hello" }], ...more }),
    });
  return {
    url,
    chat,
    answered: async (repair: RegExp | null): Promise<void> => {
      const reply = await chat();
      const text = await reply.text();
      deepEqual([reply.status, text.includes('"content"')], [200, true], text);
      match(reply.headers.get("x-hal0-repair") ?? "", repair ?? /^$/);
    },
    slot: async (): Promise<{ pid: number }> => {
      const slots: { name: string; pid: number }[] = JSON.parse(
        await (await fetch(`${url}/api/slots`, { headers })).text(),
      );
      return slots.find(({ name }) => name === "tiny-a") ?? { pid: 0 };
    },
    requests: async (): Promise<number> => {
      const records: unknown[] = JSON.parse(await (await fetch(`${url}/api/requests`, { headers })).text());
      return records.length;
    },
    /** A stream of two seconds that must be whole although `meanwhile` happens once it has begun. */
    streamed: async (meanwhile: () => Promise<void>): Promise<void> => {
      const reply = await chat({ stream: true, sim: { tokens: 100, tokenMs: 20 } });
      const reader = reply.body?.pipeThrough(new TextDecoderStream()).getReader();
      let text = (await reader?.read())?.value ?? "";
      const happening = meanwhile();
      for (;;) {
        const part = await reader?.read();
        if (!part || part.done) break;
        text += part.value;
      }
      await happening;
      ok(
        text.includes("token 100 ") && text.trimEnd().endsWith("data: [DONE]"),
        `the stream was cut: …${text.slice(-300)}`,
      );
    },
  };
}

async function withoutNesting(base: string): Promise<void> {
  say("\nA container that refuses mounts (Proxmox without nesting)");
  await using container = await step("it starts, with a simulated Lemonade in it", () =>
    furnished(base, "hal0-a", 0, true),
  );
  const before = await tracesOf(container);
  await mark(container);

  await step("install serves the container alone, and says so", async () => {
    const [first = "", second = ""] = lastLines(await container.must("/root/hal0-dispatch", "install"), 2);
    match(first, /^It serves this machine alone, at http:\/\/127\.0\.0\.1:8080\/v1/);
    match(second, /hal0-dispatch install --lan$/);
    await fetch(`http://${container.address}:8080/live`).then(
      () => ok(false, "the network reaches it"),
      () => {},
    );
  });
  const key = await step("install --lan ends on page, base URL and key", async () => {
    const text = await container.must("/root/hal0-dispatch", "install", "--lan");
    const [page = "", base = "", key = ""] = lastLines(text, 3);
    equal(page, `Page:     http://${container.address}:8080/`);
    equal(base, `Base URL: http://${container.address}:8080/v1`);
    match(key, /^API key: {2}[0-9a-f]{64}$/);
    equal(text.split("\n").filter((line) => line.includes("nesting")).length, 1);
    return key.slice(-64);
  });
  const client = clientOf(container, key);
  await step("status: it runs as its own user, enabled, and doctor finds nothing serious", async () => {
    match(await container.must("systemctl", "status", "hal0-dispatch"), /enabled[^]*Active: active \(running\)/);
    equal(
      (await container.shell("stat -c %U /proc/$(systemctl show -P MainPID hal0-dispatch)")).trim(),
      "hal0-dispatch",
    );
    match(
      await container.must("hal0-dispatch", "doctor"),
      /the service runs, without ProtectControlGroups[^]*^0 serious/m,
    );
  });
  await step("a chat from another network namespace needs the key, and is answered with it", async () => {
    equal((await fetch(`${client.url}/v1/models`)).status, 401);
    equal((await fetch(`${client.url}/`)).status, 200);
    await client.answered(null);
  });
  await step("after kill -9 of the model's process it is answered too, and the journal says how", async () => {
    await container.shell(`kill -9 ${(await client.slot()).pid}`); // The shell's own: there is no other.
    await client.answered(/^(recovered|loaded)$/);
    const journal = await container.must("journalctl", "-u", "hal0-dispatch", "-o", "cat", "--no-pager");
    match(journal, /"event":"dispatch\.upstream_recovered"/);
    ok(!journal.includes(key), "the key is in the journal");
  });
  await step("a reload under a stream leaves it whole; one of a broken file fails and changes nothing", async () => {
    await client.streamed(async () => void (await container.must("systemctl", "reload", "hal0-dispatch")));
    await container.shell("cp /etc/hal0/dispatch.toml /run/good; echo prot = 1 >>/etc/hal0/dispatch.toml");
    equal((await container.run("systemctl", "reload", "hal0-dispatch")).code, 1);
    match(await container.must("journalctl", "-u", "hal0-dispatch", "-n", "5", "-o", "cat"), /unknown key/);
    await client.answered(null);
    equal((await container.run("/root/hal0-dispatch", "install")).code, 1);
    await client.answered(null);
    await container.shell("cp /run/good /etc/hal0/dispatch.toml");
  });
  await step("a drill in the container kills the model and gets whole answers", async () => {
    const { text } = await container.run("hal0-dispatch", "drill", "--yes");
    match(text, /\n1\. [^]*answered +whole[^]*\n2\. [^]*answered +whole/);
  });
  await step("an upgrade under a stream leaves it whole, and keeps key, address and records", async () => {
    await client.streamed(async () => {
      match(await container.must("/root/hal0-dispatch", "install", "--lan"), /API key: {2}the one in /);
    });
    ok((await client.requests()) > 0, "the records of before are gone");
    equal((await container.shell("stat -c '%U %a' /var/lib/hal0-dispatch")).trim(), "hal0-dispatch 700");
    await client.answered(null);
  });
  await step("uninstall keeps the configuration, which install takes up again", async () => {
    match(await container.must("hal0-dispatch", "uninstall"), /To remove these too: rm -r \/etc\/hal0[^\n]*\n$/);
    equal((await container.run("systemctl", "status", "hal0-dispatch")).code, 4);
    await container.must("/root/hal0-dispatch", "install");
    await client.answered(null);
  });
  await step("uninstall --purge by the installed program itself leaves nothing", async () => {
    await container.must("hal0-dispatch", "uninstall", "--purge");
    const rest = await left(container, before);
    for (const line of rest) say(`      left: ${line}`);
    deepEqual(rest, []);
  });
}

async function withNesting(base: string): Promise<void> {
  say("\nA container that allows mounts (Proxmox with nesting)");
  await using container = await step("it starts, with a simulated Lemonade in it", () =>
    furnished(base, "hal0-b", 1, false),
  );
  const before = await tracesOf(container);
  await mark(container);
  await step("install --lan keeps every protection, and a chat is answered", async () => {
    const text = await container.must("/root/hal0-dispatch", "install", "--lan");
    ok(!text.includes("nesting"), text);
    const show = await container.must(
      "systemctl",
      "show",
      "hal0-dispatch",
      "-p",
      "ProtectControlGroups,ProtectKernelTunables",
    );
    deepEqual(show.trim().split("\n").sort(), ["ProtectControlGroups=yes", "ProtectKernelTunables=yes"]);
    await clientOf(container, text.trim().slice(-64)).answered(null);
  });
  await step("uninstall --purge by the program that installed it leaves nothing", async () => {
    await container.must("/root/hal0-dispatch", "uninstall", "--purge");
    deepEqual(await left(container, before), []);
  });
}
