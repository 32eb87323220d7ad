// Who may ask, and who may control: keys, host names, origins and peers as tables.
import { describe, expect, test } from "bun:test";
import { type Access, admit, type Admission, isOneOf, keyIn } from "../../src/http/admission.ts";
import { corsHeaders, preflight } from "../../src/http/cors.ts";

const noKeys: Admission = {
  host: "127.0.0.1",
  apiKeys: [],
  adminKeys: [],
  allowedHosts: ["box.lan", "nas:8080"],
  corsOrigins: [],
};
const keyed: Admission = { ...noKeys, apiKeys: ["first-key", "second-key"] };
const OWN_HOSTS = ["10.1.2.3", "fe80::1", "shelf", "shelf.lan", "shelf.home.arpa"];

const refused = (headers: Record<string, string>, rules: Admission, access: Access = "use", peer = "127.0.0.1") => {
  const all = new Headers(headers);
  return admit({ headers: all, key: keyIn(all), peer: peer }, access, rules, OWN_HOSTS);
};
const refusal = (...asked: Parameters<typeof refused>) => refused(...asked)?.code ?? null;

describe("with keys", () => {
  const table: [string, Record<string, string>, boolean][] = [
    ["a bearer", { authorization: "Bearer first-key" }, true],
    ["the second key", { authorization: "Bearer second-key" }, true],
    ["a scheme in other letters", { authorization: "bEARER   first-key" }, true],
    ["Anthropic's header", { "x-api-key": "second-key" }, true],
    ["white space around it", { "x-api-key": "  first-key " }, true],
    ["another scheme beside Anthropic's header", { authorization: "Basic eA==", "x-api-key": "first-key" }, true],
    ["no key", {}, false],
    ["an empty key", { authorization: "Bearer " }, false],
    ["an empty x-api-key", { "x-api-key": "" }, false],
    ["a beginning of a key", { authorization: "Bearer first-ke" }, false],
    ["more than a key", { authorization: "Bearer first-key2" }, false],
    ["a key in other letters", { authorization: "Bearer FIRST-KEY" }, false],
    ["a key without its scheme", { authorization: "first-key" }, false],
    ["another scheme", { authorization: "Basic first-key" }, false],
    ["both keys in one", { authorization: "Bearer first-key, second-key" }, false],
    ["a wrong bearer beside a right x-api-key", { authorization: "Bearer wrong", "x-api-key": "first-key" }, false],
  ];
  test.each(table)("%s", (_, headers, isAdmitted) => {
    expect(refusal(headers, keyed)).toBe(isAdmitted ? null : "auth.invalid_key");
    expect(isOneOf(keyIn(new Headers(headers)), keyed.apiKeys)).toBe(isAdmitted);
    expect(refusal(headers, keyed, "control", "10.9.9.9")).toBe(isAdmitted ? null : "auth.invalid_key");
    // What needs no key asks for none.
    expect(refusal(headers, keyed, "open")).toBeNull();
  });

  test("any host and any origin may ask", () => {
    const headers = { authorization: "Bearer first-key", host: "evil.example", origin: "https://evil.example" };
    expect(refusal(headers, keyed)).toBeNull();
  });
});

describe("admin keys", () => {
  const evil = { host: "evil.example", origin: "https://evil.example", "x-forwarded-for": "10.9.9.9" };
  const bearer = (key: string) => ({ authorization: `Bearer ${key}`, host: "127.0.0.1" });
  const beside: Admission = { ...keyed, adminKeys: ["admin-key"] };
  const alone: Admission = { ...noKeys, adminKeys: ["admin-key"] };

  test("open everything, from anywhere", () => {
    for (const rules of [beside, alone])
      for (const access of ["open", "use", "control"] as const)
        expect(refusal({ ...bearer("admin-key"), ...evil }, rules, access, "10.9.9.9")).toBeNull();
  });

  test("alone open control, also on this machine: an API key is known and refused, another or none is unknown", () => {
    expect(refused(bearer("first-key"), beside, "control")).toMatchObject({
      code: "auth.control_refused",
      status: 403,
    });
    expect(refused(bearer("first-key"), beside, "control")?.message).toContain("admin_keys");
    expect(refusal(bearer("first-key"), beside, "use")).toBeNull();
    for (const rules of [beside, alone])
      for (const headers of [bearer("wrong"), { host: "127.0.0.1" }])
        expect(refusal(headers, rules, "control")).toBe("auth.invalid_key");
  });

  test("without API keys leave the rest to the rule for no keys", () => {
    expect(refusal({ host: "127.0.0.1" }, alone)).toBeNull();
    // An SDK sends some key always.
    expect(refusal(bearer("sk-none"), alone)).toBeNull();
    expect(refusal({ host: "evil.example" }, alone)).toBe("request.invalid");
    expect(refusal({ host: "127.0.0.1", origin: "https://evil.example" }, alone)).toBe("request.invalid");
    expect(refusal({ host: "127.0.0.1" }, beside)).toBe("auth.invalid_key");
  });
});

describe("without keys control", () => {
  const host = "127.0.0.1:8080";
  test("is for callers on this machine: nobody asks from elsewhere, and no proxy asks for others", () => {
    for (const peer of ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
      expect(refusal({ host }, noKeys, "control", peer)).toBeNull();
    for (const peer of ["192.168.1.9", "::ffff:192.168.1.9", ""])
      expect(refused({ host }, noKeys, "control", peer)).toMatchObject({ code: "auth.control_refused", status: 403 });
    for (const name of ["forwarded", "x-forwarded-for"]) {
      expect(refusal({ host, [name]: "127.0.0.1" }, noKeys, "control")).toBe("auth.control_refused");
      expect(refusal({ host, [name]: "127.0.0.1" }, noKeys)).toBeNull();
    }
    expect(refused({ host }, noKeys, "control", "10.0.0.9")?.message).toContain("server.admin_keys");
  });

  test("is for a page that is listed by its name, never by *", () => {
    const origin = "https://chat.lan";
    const by = (corsOrigins: string[]) => refusal({ host, origin }, { ...noKeys, corsOrigins }, "control");
    expect([by(["*"]), by([origin]), by(["*", origin]), by([])]).toEqual([
      "request.invalid",
      null,
      null,
      "request.invalid",
    ]);
    expect(refusal({ host, origin: `http://${host}` }, noKeys, "control")).toBeNull();
  });
});

describe("without keys, bound to other addresses than loopback, a host name", () => {
  const table: [string, boolean][] = [
    ["192.168.1.20:8080", true],
    ["8.8.8.8", true],
    ["[fd00::7]:8080", true],
    ["[::2]", true],
    ["127.0.0.1:8080", true],
    ["localhost", true],
    ["shelf", true],
    ["SHELF:8080", true],
    ["shelf.lan:8080", true],
    ["shelf.home.arpa", true],
    ["nas:8080", true],
    ["evil.example", false],
    ["shelf.evil.example", false],
    ["192.168.1.20.evil.example", false],
    ["other.lan", false],
    ["", false],
  ];
  test.each(table)("%p", (host, isAdmitted) => {
    for (const bound of ["0.0.0.0", "::", "192.168.1.7"])
      for (const access of ["open", "use", "control"] as const)
        expect(refusal({ host }, { ...noKeys, host: bound }, access)).toBe(isAdmitted ? null : "request.invalid");
  });

  test("that only this machine has is none of a server bound to loopback", () => {
    expect(refusal({ host: "shelf.lan" }, noKeys)).toBe("request.invalid");
  });
});

describe("a refusal says which line to add", () => {
  const line = (headers: Record<string, string>) => refused({ host: "127.0.0.1", ...headers }, noKeys)?.message;

  test("for a host and an origin that can be listed, and none for others", () => {
    expect(line({ host: "Chat.example:8080" })).toContain('server.allowed_hosts: allowed_hosts = ["chat.example"].');
    expect(line({ host: "x'\"y" })).toEndWith("list it in server.allowed_hosts.");
    expect(line({ origin: "https://Chat.example:3000" })).toContain('cors_origins = ["https://chat.example:3000"].');
    expect(line({ origin: "null" })).toEndWith("list it in server.cors_origins.");
  });
});

describe("without keys a host name", () => {
  const table: [string, boolean][] = [
    ["127.0.0.1:8080", true],
    ["127.1.2.3", true],
    ["localhost:8080", true],
    ["LocalHost", true],
    ["chat.localhost", true],
    ["[::1]:8080", true],
    ["box.lan", true],
    ["box.lan:9999", true],
    ["BOX.lan", true],
    ["nas:8080", true],
    ["evil.example", false],
    ["localhost.evil.example", false],
    ["127.0.0.1.evil.example", false],
    ["evil.example:127", false],
    ["192.168.1.7", false],
    ["[::2]", false],
    ["sub.box.lan", false],
    ["", false],
  ];
  test.each(table)("%p", (host, isAdmitted) => {
    for (const access of ["open", "use", "control"] as const)
      expect(refusal({ host }, noKeys, access)).toBe(isAdmitted ? null : "request.invalid");
  });

  test("that is the address this server is bound to is its own", () => {
    expect(refusal({ host: "192.168.1.7:8080" }, { ...noKeys, host: "192.168.1.7" })).toBeNull();
    expect(refusal({ host: "[fd00::7]:8080" }, { ...noKeys, host: "fd00::7" })).toBeNull();
  });
});

describe("without keys a page", () => {
  const host = "127.0.0.1:8080";
  const table: [string, readonly string[], boolean][] = [
    ["http://127.0.0.1:8080", [], true],
    ["http://127.0.0.1:9999", [], false],
    ["http://localhost:8080", [], false],
    ["https://evil.example", [], false],
    ["null", [], false],
    ["https://chat.lan", ["https://chat.lan"], true],
    ["https://CHAT.lan", ["https://chat.lan"], true],
    ["http://chat.lan", ["https://chat.lan"], false],
    ["https://evil.example", ["*"], true],
    ["null", ["*"], false],
    ["null", ["null"], false],
  ];
  test.each(table)("of %s where %j is listed", (origin, corsOrigins, isAdmitted) => {
    expect(refusal({ host, origin }, { ...noKeys, corsOrigins })).toBe(isAdmitted ? null : "request.invalid");
  });

  test("of a listed origin may read the answer, another may not", () => {
    expect(corsHeaders("https://chat.lan", ["https://chat.lan"])).toEqual({
      "access-control-allow-origin": "https://chat.lan",
      "access-control-expose-headers": "x-request-id, x-hal0-upstream, x-hal0-repair, x-hal0-fallback, retry-after",
      vary: "origin",
    });
    expect(corsHeaders("https://evil.example", ["https://chat.lan"])).toEqual({});
    expect(corsHeaders(null, ["*"])).toEqual({});
    expect(corsHeaders("null", ["*", "null"])).toEqual({});
  });

  test("of a listed origin may send what it asks to send, another is told what is usual", () => {
    const asked = "authorization,x-stainless-os,anthropic-dangerous-direct-browser-access";
    const allowed = (origin: string, headers: string) =>
      preflight(new Headers({ origin, "access-control-request-headers": headers }), "POST, OPTIONS", [
        "https://chat.lan",
      ]).headers.get("access-control-allow-headers");
    expect(allowed("https://chat.lan", asked)).toBe(asked);
    for (const [origin, headers] of [
      ["https://evil.example", asked],
      ["null", asked],
      ["https://chat.lan", "x-own: 1"],
    ] as const)
      expect(allowed(origin, headers)).toStartWith("authorization, content-type, x-api-key");
  });
});
