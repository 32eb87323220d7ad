// What doctor says of the installed service, over recorded answers of systemd; and of files that the service cannot read.
import { describe, expect, test } from "bun:test";
import type { Finding } from "../../src/host/finding.ts";
import { type Asked, doctor, levels } from "../doctor.ts";
import type { ServiceState } from "../host.ts";
import { startLemond } from "../lemond/index.ts";

describe("the service", () => {
  test.each<[ServiceState, code: number, found: [Finding["level"], RegExp][]]>([
    ["running", 0, [["ok", /^the service runs$/]]],
    ["without its mounts", 0, [["ok", /^the service runs, without ProtectControlGroups and ProtectKernelTunables/]]],
    ["configuration (2)", 1, [["serious", /configuration has faults \(exit 2\)/]]],
    ["no program (203)", 1, [["serious", /203\/EXEC/]]],
    ["no user (217)", 1, [["serious", /217\/USER/]]],
    ["no mounts (226)", 1, [["serious", /226\/NAMESPACE/]]],
    ["trying again (1)", 1, [["serious", /keeps failing/]]],
    ["given up (1)", 1, [["serious", /does not start it again/]]],
    ["stopped", 1, [["serious", /does not run: it was stopped/]]],
    ["started too often", 1, [["serious", /started too often/]]],
    ["killed", 1, [["serious", /signal 9/]]],
    ["masked", 1, [["serious", /masked/]]],
    [
      "disabled",
      0,
      [
        ["ok", /runs/],
        ["warning", /does not start with the machine/],
      ],
    ],
    [
      "stale",
      0,
      [
        ["ok", /runs/],
        ["warning", /changed since systemd read it/],
      ],
    ],
  ])("%s: exit %p", async (service, code, wanted) => {
    await using lemond = await startLemond();
    const asked = await doctor({ lemonade: lemond.url, service });
    const found = asked.found.slice(0, wanted.length);
    expect([asked.code, levels(found)]).toEqual([code, wanted.map(([level]) => level)]);
    for (const [at, [, what]] of wanted.entries()) expect(found[at]?.what).toMatch(what);
    // All else is well, so that nothing hides it.
    expect(new Set(levels(asked.found.slice(wanted.length)))).toEqual(new Set(["ok"]));
  });

  test("that does not run is said beside faults of the configuration, too", async () => {
    const { code, found } = await doctor({ toml: "[server]\nprot = 1\n", service: "configuration (2)" });
    expect([code, levels(found)]).toEqual([1, ["serious", "serious"]]);
  });

  test("that is not installed is not missed, and one without systemd is a warning", async () => {
    await using lemond = await startLemond();
    expect((await doctor({ lemonade: lemond.url })).of(/service/)).toEqual([]);
    const bare = await doctor({ lemonade: lemond.url, service: "running", hasSystemd: false });
    expect(levels(bare.of(/systemd does not run here/))).toEqual(["warning"]);
  });
});

test("a file that the service's user cannot read is told of where the service is installed", async () => {
  await using lemond = await startLemond();
  const told = async (asked: Asked) =>
    levels((await doctor({ lemonade: lemond.url, ...asked })).of(/dispatch\.toml cannot be read by hal0-dispatch/));
  expect(await told({ service: "running", open: [] })).toEqual(["warning"]);
  expect(await told({ service: "running", open: ["/etc/hal0/dispatch.toml"] })).toEqual([]);
  expect(await told({ open: [] })).toEqual([]);
});
