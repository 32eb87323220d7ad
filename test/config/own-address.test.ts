// Which URLs are this server's own, as tables; and what this machine is called.
import { describe, expect, test } from "bun:test";
import { hostname, networkInterfaces } from "node:os";
import { ownHosts } from "../../src/config/machine.ts";
import { isOwnAddress, isSameAddress } from "../../src/config/own-address.ts";
import { faultsOf } from "../configured.ts";

const MACHINE = ["192.168.1.20", "fd00::1", "127.0.0.1", "nas", "nas.local"];

describe.each<[bound: string, isOwn: boolean, urls: string[]]>([
  [
    "127.0.0.1",
    true,
    ["http://127.0.0.1:8080", "http://localhost:8080/v1", "http://LOCALHOST:8080", "http://127.1:8080"],
  ],
  [
    "127.0.0.1",
    true,
    ["http://0x7f.1:8080", "http://[::1]:8080", "http://[::ffff:127.0.0.1]:8080", "http://0.0.0.0:8080"],
  ],
  [
    "127.0.0.1",
    false,
    ["http://127.0.0.1:8081", "http://127.0.0.1", "http://127.0.0.2:8080", "http://192.168.1.20:8080"],
  ],
  ["127.0.0.1", false, ["http://nas:8080", "http://example.org:8080"]],
  [
    "localhost",
    true,
    ["http://127.0.0.1:8080", "http://[::1]:8080", "http://localhost:8080", "http://ai.localhost:8080"],
  ],
  ["::1", true, ["http://[0:0::1]:8080", "http://localhost:8080"]],
  [
    "0.0.0.0",
    true,
    ["http://127.0.0.1:8080", "http://127.0.0.9:8080", "http://localhost:8080", "http://192.168.1.20:8080"],
  ],
  ["0.0.0.0", true, ["http://NAS:8080", "http://nas.local:8080/v1", "http://[fd00::1]:8080", "http://[::]:8080"]],
  ["0.0.0.0", false, ["http://192.168.1.21:8080", "http://other.local:8080", "http://192.168.1.20", "http://nas"]],
  ["::", true, ["http://192.168.1.20:8080", "http://[fd00:0::1]:8080", "http://0.0.0.0:8080"]],
  ["192.168.1.20", true, ["http://192.168.1.20:8080"]],
  ["192.168.1.20", false, ["http://127.0.0.1:8080", "http://localhost:8080"]],
])("bound to %s, own is %j of", (host, isOwn, urls) => {
  test.each(urls)("%s", (url) => {
    expect(isOwnAddress(url, { host, port: 8080 }, MACHINE)).toBe(isOwn);
  });
});

test("a URL without a port has its scheme's", () => {
  const on = (port: number) => (url: string) => isOwnAddress(url, { host: "127.0.0.1", port }, []);
  expect(["http://localhost", "https://localhost"].map(on(80))).toEqual([true, false]);
  expect(["http://localhost", "https://localhost"].map(on(443))).toEqual([false, true]);
});

test("two URLs lead to one server where port and host are one, in whichever spelling", () => {
  const to = (one: string) => (other: string) => isSameAddress(one, other);
  expect(["http://127.0.0.1:1", "http://[::1]:1", "http://0.0.0.0:1/x"].map(to("http://localhost:1"))).toEqual([
    true,
    true,
    true,
  ]);
  expect(["http://a:80", "http://a:81", "https://a", "http://b"].map(to("http://a"))).toEqual([
    true,
    false,
    false,
    false,
  ]);
  expect(isSameAddress("http://127.0.0.1:1", "http://127.0.0.2:1")).toBe(false);
});

test("where every address is bound, the machine's own ones are at fault", () => {
  const toml =
    '[server]\nhost = "0.0.0.0"\napi_keys = ["k"]\n[upstreams.a]\nurl = "http://nas.local:8080/v1"\nmodels = ["x"]';
  const fault = "upstreams.a.url: this is the address of this server itself (port 8080)";
  expect(faultsOf({ toml, ownHosts: MACHINE })).toEqual([fault]);
  expect(faultsOf({ toml, ownHosts: ["192.168.1.20"] })).toEqual([]);
});

test("this machine is reached at its interfaces' addresses and under its name", () => {
  const addresses = Object.values(networkInterfaces()).flatMap((all = []) => all.map(({ address }) => address));
  expect(addresses.length).toBeGreaterThan(0);
  expect(ownHosts()).toContainValues([...addresses, hostname().toLowerCase()]);
});
