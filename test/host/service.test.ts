// What systemd's answers about the service mean, in words: a table over recorded ones.
import { expect, test } from "bun:test";
import { readShow, SHOW, troubleOf } from "../../src/host/service.ts";
import { type ServiceState, shown } from "../host.ts";

test.each<ServiceState>(["running", "without its mounts", "everywhere", "disabled", "stale"])(
  "%s is no trouble",
  (state) => {
    expect(troubleOf(readShow(shown(state)))).toBeNull();
  },
);

test.each<[ServiceState, what: RegExp, advice: RegExp]>([
  ["configuration (2)", /does not run: its configuration has faults/, /hal0-dispatch --check/],
  ["no program (203)", /does not run: systemd cannot run .*\(203\/EXEC\)/, /built for this machine/],
  ["no user (217)", /does not run: .*the user hal0-dispatch is missing/, /hal0-dispatch install makes it/],
  ["no mounts (226)", /does not run: this container refuses mounts/, /install writes a unit without them.*nesting/],
  ["no mounts at all (226)", /also without ProtectControlGroups and/, /^journalctl.*systemctl edit/],
  ["trying again (1)", /keeps failing: it failed/, /^journalctl -u hal0-dispatch/],
  ["given up (1)", /does not start it again: it failed/, /^journalctl.*; after that: systemctl reset-failed/],
  ["stopped", /it was stopped/, /systemctl start hal0-dispatch/],
  ["started too often", /started too often within a minute/, /reset-failed/],
  ["killed", /keeps failing: signal 9 ended it/, /journalctl/],
  ["masked", /masked/, /systemctl unmask/],
])("%s: what it is and what to do", (state, what, advice) => {
  const trouble = troubleOf(readShow(shown(state)));
  expect(trouble?.what).toMatch(what);
  expect(trouble?.advice).toMatch(advice);
});

test("where it serves, whether it comes with the machine, and what the container refuses are read too", () => {
  const read = (state: ServiceState) => readShow(shown(state));
  expect(read("everywhere")).toMatchObject({
    url: "http://0.0.0.0:8080",
    isEnabled: true,
    isStale: false,
    lacksMounts: false,
  });
  expect([read("stopped").url, read("disabled").isEnabled, read("stale").isStale]).toEqual([null, false, true]);
  expect(read("without its mounts").lacksMounts).toBe(true);
});

test("all that is read is asked for", () => {
  for (const line of shown("running").trim().split("\n")) expect(SHOW.at(-1)).toContain(line.split("=")[0] ?? "");
});
