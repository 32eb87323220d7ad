// Opening the service to the network: what becomes of a configuration, of the variables, and what is said at the end.
import { describe, expect, test } from "bun:test";
import { closingLines, withEveryAddress, withKey } from "../../src/host/lan.ts";
import { configText, environmentText } from "../../src/host/layout.ts";

describe("server.host", () => {
  test.each([
    ["", '[server]\nhost = "0.0.0.0"\n'],
    ["[lemonade]\nurl = 'http://a'\n", "[lemonade]\nurl = 'http://a'\n\n[server]\nhost = \"0.0.0.0\"\n"],
    ['[server]\n#host = "127.0.0.1"\nport = 1\n', '[server]\nhost = "0.0.0.0"\nport = 1\n'],
    ['[server] # here\nport = 1\nhost = "localhost" # us\n', '[server] # here\nport = 1\nhost = "0.0.0.0"\n'],
    ["[server]\nport = 1\n[slots.host]\nhost = 1\n", '[server]\nhost = "0.0.0.0"\nport = 1\n[slots.host]\nhost = 1\n'],
    ["[server]\n# host = 1\nhost = 2\n", '[server]\n# host = 1\nhost = "0.0.0.0"\n'],
  ])("in %j", (before, after) => {
    expect(withEveryAddress(before)).toBe(after);
  });

  test("in the file that install writes, and nothing else there", () => {
    const [before, after] = [configText(), withEveryAddress(configText())].map((text) => text.split("\n"));
    expect(after?.filter((line) => !before?.includes(line))).toEqual(['host = "0.0.0.0"']);
    expect(before?.filter((line) => !after?.includes(line))).toEqual(['#host = "127.0.0.1"']);
  });
});

describe("the key", () => {
  test.each([
    ["", "HAL0_DISPATCH_API_KEYS=k\n"],
    ["A=1", "A=1\nHAL0_DISPATCH_API_KEYS=k\n"],
    ["#HAL0_DISPATCH_API_KEYS=\nA=1\n", "HAL0_DISPATCH_API_KEYS=k\nA=1\n"],
    ["HAL0_DISPATCH_API_KEYS=\n", "HAL0_DISPATCH_API_KEYS=k\n"],
    // Somebody's note is not ours to take.
    ["#HAL0_DISPATCH_API_KEYS=old\n", "#HAL0_DISPATCH_API_KEYS=old\nHAL0_DISPATCH_API_KEYS=k\n"],
  ])("in %j", (before, after) => {
    expect(withKey(before, "k")).toBe(after);
  });

  test("in the file that install writes stands where it is explained", () => {
    const lines = withKey(environmentText(true), "k").split("\n");
    expect(lines[lines.indexOf("HAL0_DISPATCH_API_KEYS=k") - 1]).toStartWith("# Keys that clients must send");
  });
});

describe("the last lines", () => {
  const at = (url: string, isLan = true, address = "192.168.1.20"): string[] =>
    closingLines({ url, address, isLan, key: "k" });

  test("opened to the network are three: page, base URL, key", () => {
    expect(at("http://0.0.0.0:8080")).toEqual([
      "Page:     http://192.168.1.20:8080/",
      "Base URL: http://192.168.1.20:8080/v1",
      "API key:  k",
    ]);
  });

  test("have the address that it is bound to, and brackets around one of IPv6", () => {
    expect(at("http://10.0.0.9:80")[0]).toBe("Page:     http://10.0.0.9/");
    expect(at("http://[::]:8080", true, "fd00::2")[1]).toBe("Base URL: http://[fd00::2]:8080/v1");
  });

  test("without --lan show no key, and say of an address of this machine alone how to open it", () => {
    expect(at("http://0.0.0.0:8080", false)).toHaveLength(2);
    const alone = at("http://127.0.0.1:8080", false);
    expect(alone[0]).toContain("http://127.0.0.1:8080/v1");
    expect(alone[1]).toContain("hal0-dispatch install --lan");
  });
});
