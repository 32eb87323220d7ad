// Which names only this machine can be meant by, in the spellings that clients and configurations use.
import { expect, test } from "bun:test";
import { hostName, isLoopback } from "../../src/http/loopback.ts";

test.each([
  ["A:1", "a"],
  ["a", "a"],
  ["a:", "a"],
  ["[::1]:1", "::1"],
  ["[::1]", "::1"],
  ["::1", "::1"],
  ["", ""],
  [":80", ""],
])("the name in %p is %p", (host, name) => {
  expect(hostName(host)).toBe(name);
});

test.each([
  ["127.0.0.1", true],
  ["127.255.0.9", true],
  ["localhost", true],
  ["box.localhost", true],
  ["LOCALHOST", true],
  ["::1", true],
  ["[::1]", true],
  ["0:0:0:0:0:0:0:1", true],
  ["::ffff:127.0.0.1", true],
  ["0.0.0.0", false],
  ["::", false],
  ["::ffff:10.0.0.1", false],
  ["fe80::1%eth0", false],
  ["127.0.0.1.example.com", false],
  ["127.1", false],
  ["127.0.0.1x", false],
  ["localhost.x", false],
  ["0", false],
  ["box", false],
])("%s is loopback: %p", (host, expected) => {
  expect(isLoopback(host)).toBe(expected);
});
