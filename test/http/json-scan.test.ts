// Fields found and replaced in the bytes of a JSON object: the verdict and the values are those of JSON.parse.
import { describe, expect, test } from "bun:test";
import { createRandom, type Random } from "../chaos/random.ts";
import { type JsonFault, replaceField, scanFields, type Span } from "../../src/http/json-scan.ts";

const NAMES = ["model", "stream"];
const bytesOf = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);
const utf8 = new TextDecoder("utf-8", { fatal: true });

const textAt = (body: Uint8Array, { start, end }: Span): string =>
  new TextDecoder("utf-8", { ignoreBOM: true }).decode(body.subarray(start, end));

/** What JSON.parse makes of the body: its object, or why there is none. */
function parsed(body: Uint8Array): Record<string, unknown> | JsonFault {
  try {
    const value: unknown = JSON.parse(utf8.decode(body));
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : "is not a JSON object";
  } catch (error) {
    return error instanceof TypeError ? "is not valid UTF-8" : "is not valid JSON";
  }
}

/** The same, as the scan sees it: the fields of NAMES alone. */
function scanned(body: Uint8Array): Record<string, unknown> | JsonFault {
  const scan = scanFields(body, NAMES);
  if (!scan.ok) return scan.fault;
  return Object.fromEntries([...scan.spans].map(([name, span]) => [name, JSON.parse(textAt(body, span))]));
}

function expectSame(body: Uint8Array): void {
  const wanted = parsed(body);
  const fields =
    typeof wanted === "string"
      ? wanted
      : Object.fromEntries(NAMES.flatMap((name) => (Object.hasOwn(wanted, name) ? [[name, wanted[name]]] : [])));
  expect(scanned(body)).toEqual(fields);
}

/** A body at a place of its own in a larger buffer, as a part of another message is. */
function placed(text: string, offset: number): Uint8Array<ArrayBuffer> {
  const bytes = bytesOf(text);
  const place = new Uint8Array(new ArrayBuffer(offset + bytes.length + 5).transfer(), offset, bytes.length);
  place.set(bytes);
  return place;
}

describe("the fields of a body", () => {
  test.each([
    ["a key written with escapes", String.raw`{"mod\u0065l":"a","\u0073tream":true}`, { model: "a", stream: true }],
    ["a key with a quote in it", String.raw`{"\"model":"b","model\"":"c","x\\":1,"model":"a"}`, { model: "a" }],
    ["a key twice", `{"model":"a","x":[],"model":"b"}`, { model: "b" }],
    ["a key twice, once written with escapes", String.raw`{"model":"a","\u006dodel":"b"}`, { model: "b" }],
    ["the key deeper in it", `{"x":{"model":"a"},"y":[{"stream":true}],"z":"\\"model\\":\\"b\\""}`, {}],
    ["the key as a value", `{"x":"model","y":["model","stream"],"model":"a"}`, { model: "a" }],
    ["keys that begin alike", `{"mode":1,"models":2,"Model":3,"model ":4}`, {}],
    ["white space everywhere", ` \r\n\t{ "model" \n:\t"a" , "stream":\r\n false } \n`, { model: "a", stream: false }],
    ["a byte order mark", `\uFEFF{"model":"a"}`, { model: "a" }],
    [
      "a value of each kind",
      `{"stream":{"a":[1,{}]},"model":[null,"]"]}`,
      { model: [null, "]"], stream: { a: [1, {}] } },
    ],
    ["numbers", `{"model":-0.5e+3,"stream":1E9}`, { model: -500, stream: 1e9 }],
    ["surrogates, whole and alone", '{"model":"\\ud83d\\ude00 \\ud800","x":"😀"}', { model: "😀 \ud800" }],
    ["nothing", "{}", {}],
    ["names of JavaScript's own", `{"__proto__":{"model":"a"},"constructor":1}`, {}],
  ])("with %s are those of JSON.parse", (_, text, fields) => {
    for (let offset = 0; offset < 8; offset++) {
      expect(scanned(placed(text, offset))).toEqual(fields);
      expectSame(placed(text, offset));
    }
  });

  test("at the end of 20 MB are found, and spans hold their bytes alone", () => {
    const body = bytesOf(`{"messages":["${"iVBORw0K".repeat(2.5 * 1024 ** 2)}"] , "model" : "last\\n" }`);
    const scan = scanFields(body, NAMES);
    const span = scan.ok && scan.spans.get("model");
    expect(span && textAt(body, span)).toBe('"last\\n"');
  });

  test("a million levels deep are judged like others", () => {
    const levels = 1_000_000;
    for (const [open, close] of [
      ["[", "]"],
      ['{"model":', "}"],
    ] as const) {
      const value = `${open.repeat(levels)}${open === "[" ? "" : "1"}${close.repeat(levels)}`;
      expect(scanFields(bytesOf(`{"x":${value},"stream":true}`), NAMES)).toMatchObject({ ok: true });
      expect(scanned(bytesOf(`{"x":${value}`))).toBe("is not valid JSON");
      expect(scanned(bytesOf(`{"x":${value.slice(0, -1)}${open === "[" ? "}" : "]"}}`))).toBe("is not valid JSON");
    }
  });

  const broken =
    '|{|}|[|{"|{"a|{"a"|{"a":|{"a":1|{"a":1,|{"a":1,}|{,}|{"a" 1}|{"a":1 "b":2}|{a:1}|{"a":}|{1:1}|{"a":1}}|{"a":1}x|' +
    '{"a":1} {}|[1,]|[,]|[1 2]|[}|{]|{"a":[}]}|"|"a|"\\|"\\x"|"\\u12"|"\\u12g4"|"\\U0041"|"a\tb"|"a\nb"|"\u0000"|' +
    "01|-|-a|+1|.5|1.|1.e1|1e|1e+|1E-|1a|0x1|- 1|NaN|Infinity|tru|truE|nul|nulll|True|undefined|'a'|//|/**/1|1/**/|\u00a0{}|" +
    '\uFEFF\uFEFF{}|\uFEFF|{}\uFEFF|\f{}|\v{}|\u2028{}| |5|5 |-0|0.0e-0|null|true|false|[]|[[[]]]|[0,1]|""|"\u007f"|"\u2028"';
  test.each(broken.split("|"))("of %j are judged as JSON.parse does", (text) => {
    for (let offset = 0; offset < 4; offset++) {
      expectSame(placed(text, offset));
      expectSame(placed(`{"model":"a","x":${text}}`, offset));
      expectSame(placed(`{"model":"a","x":[{"y":${text}}],"z":1}`, offset));
    }
  });

  test.each([[0xff], [0xc0, 0x80], [0xe2, 0x82], [0xed, 0xa0, 0x80], [0xf5, 0x80, 0x80, 0x80], [0x80]])(
    "with the bytes %p, which are not UTF-8, are refused as such",
    (...bytes) => {
      const body = Uint8Array.from([...bytesOf('{"model":"'), ...bytes, ...bytesOf('"}')]);
      expect(scanned(body)).toBe("is not valid UTF-8");
      expectSame(body);
    },
  );
});

describe("bodies made by chance, whole and damaged,", () => {
  test.each([1, 2, 3, 4, 5, 6, 7, 8])("are judged and read as JSON.parse does (seed %i)", (seed) => {
    const random = createRandom(seed);
    let whole = 0;
    for (let round = 0; round < 1000; round++) {
      const text = objectText(random, 4);
      const body = placed(text, random.int(0, 7));
      expect(typeof parsed(body)).toBe("object");
      expectSame(body);
      expectReplaced(body, random);
      for (let damage = 0; damage < 3; damage++) {
        const damaged = damage === 0 ? body.slice() : broken(body, random);
        expectSame(damaged);
        if (typeof parsed(damaged) === "object") whole++;
      }
    }
    expect(whole).toBeGreaterThan(1000);
  });
});

describe("a large body", () => {
  const large = "x".repeat(300_000);

  test.each([1, 2, 3, 4])(
    "made by chance of long strings, whole and damaged, is judged as JSON.parse does (seed %i)",
    (seed) => {
      const random = createRandom(seed);
      const longText = (): string =>
        Array.from({ length: random.int(1, 4) }, () => "a".repeat(random.int(1000, 1100)) + stringValue(random)).join(
          "",
        );
      for (let round = 0; round < 100; round++) {
        const members = Array.from({ length: random.int(1, 4) }, () => {
          const key = random.chance(0.3) ? longText() : random.pick(NAMES as [string]);
          return `${JSON.stringify(key)}:${random.chance(0.7) ? JSON.stringify(longText()) : objectText(random, 2)}`;
        });
        const body = placed(`{"pad":"${large}",${members.join(",")}}`, random.int(0, 3));
        expectSame(body);
        const at = random.int(300_000, body.length - 1);
        expectSame(body.with(at, random.pick([...bytesOf('"\\{}[],:a')] as [number])));
        expectSame(body.slice(0, at));
      }
    },
  );

  test("leaves a control character far inside a string to its upstream, and no other fault", () => {
    const judged = (text: string): unknown => scanned(bytesOf(text));
    expect(judged(`{"x":"${large}\n","model":"a"}`)).toEqual({ model: "a" });
    expect(judged(`{"x":"\n${large}","model":"a"}`)).toBe("is not valid JSON");
    expect(judged(`{"x":"${large}\\q","model":"a"}`)).toBe("is not valid JSON");
    expect(judged(`{"x":"${large}","y":"\n","model":"a"}`)).toBe("is not valid JSON");
    expect(judged(`{"x":"${"x".repeat(200_000)}\n","model":"a"}`)).toBe("is not valid JSON");
  });

  test("of 20 MB takes one pass, wherever its strings end", () => {
    const run = "x".repeat(1200);
    for (const piece of [`${run}\\n`, `${run}","`, `${run}\\"`]) {
      const count = Math.floor((20 * 1024 ** 2) / piece.length);
      const body = bytesOf(`{"x":["${piece.repeat(count)}"],"model":"a"}`);
      const startedMs = performance.now();
      expect(scanned(body)).toEqual({ model: "a" });
      // Some 20 ms; where each string looked for its own end through the rest of the body, 20 s.
      expect(performance.now() - startedMs).toBeLessThan(2000);
    }
  });
});

describe("a model put into a body", () => {
  const put = (text: string): string => {
    const body = bytesOf(text);
    const scan = scanFields(body, NAMES);
    if (!scan.ok) throw new Error(scan.fault);
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(
      Buffer.concat(replaceField(body, "model", scan.spans.get("model") ?? null, '"Größe"')),
    );
  };

  test.each([
    ['{"model":"a","n":1.0}', '{"model":"Größe","n":1.0}'],
    [' { "n" : 1e400 , "model" :  null  }\n', ' { "n" : 1e400 , "model" :  "Größe"  }\n'],
    ['{"model":"a","x":{"model":"b"},"model":["c"]}', '{"model":"a","x":{"model":"b"},"model":"Größe"}'],
    ['{"n":12345678901234567890}', '{"model":"Größe","n":12345678901234567890}'],
    ["{}", '{"model":"Größe"}'],
    ["{ \n}", '{"model":"Größe" \n}'],
    ['\uFEFF {"x":"{"}', '\uFEFF {"model":"Größe","x":"{"}'],
    [String.raw`{"mod\u0065l":"a"}`, '{"mod\\u0065l":"Größe"}'],
  ])("changes %s into %s", (before, after) => {
    expect(put(before)).toBe(after);
  });

  test("leaves the rest of it where it is: a copy would double what a large body takes", () => {
    const body = bytesOf(`{"messages":"${"x".repeat(1000)}"}`);
    const pieces = replaceField(body, "model", null, '"a"');
    const own = pieces.filter(({ buffer }) => buffer === body.buffer);
    expect(own.reduce((sum, { length }) => sum + length, 0)).toBe(body.length);
  });
});

/** Only `model` reads otherwise afterwards, and only its bytes differ. */
function expectReplaced(body: Uint8Array<ArrayBuffer>, random: Random): void {
  const scan = scanFields(body, NAMES);
  if (!scan.ok) throw new Error(scan.fault);
  const span = scan.spans.get("model") ?? null;
  const json = JSON.stringify(stringValue(random));
  const changed = Buffer.concat(replaceField(body, "model", span, json));
  expect(parsed(changed)).toEqual({ ...(parsed(body) as Record<string, unknown>), model: JSON.parse(json) });
  if (span === null) return;
  expect(textAt(changed, { start: 0, end: span.start })).toBe(textAt(body, { start: 0, end: span.start }));
  expect(textAt(changed, { start: changed.length - (body.length - span.end), end: changed.length })).toBe(
    textAt(body, { start: span.end, end: body.length }),
  );
}

function broken(body: Uint8Array, random: Random): Uint8Array {
  const at = random.int(0, body.length - 1);
  const byte = random.chance(0.8)
    ? random.pick([...bytesOf('{}[]",:\\u01e-.tn \t\n\0')] as [number])
    : random.int(0, 255);
  switch (random.pick(["change", "insert", "remove", "cut", "double"])) {
    case "change":
      return body.with(at, byte);
    case "insert":
      return Uint8Array.from([...body.subarray(0, at), byte, ...body.subarray(at)]);
    case "remove":
      return Uint8Array.from([...body.subarray(0, at), ...body.subarray(at + 1)]);
    case "cut":
      return body.slice(0, at);
    case "double":
      return Uint8Array.from([...body.subarray(0, at), ...body.subarray(random.int(0, at))]);
  }
}

const space = (random: Random): string => (random.chance(0.2) ? random.pick([" ", "\n", "\r\n\t ", "    "]) : "");

function objectText(random: Random, depth: number): string {
  const members = Array.from({ length: random.int(0, 5) }, () => {
    const key = random.chance(0.5) ? random.pick(["model", "stream", "x"]) : stringValue(random);
    return `${space(random)}${stringText(key, random)}${space(random)}:${space(random)}${valueText(random, depth - 1)}`;
  });
  return `${space(random)}{${members.join(`${space(random)},`)}${space(random)}}${space(random)}`;
}

function valueText(random: Random, depth: number): string {
  switch (random.pick(depth > 0 ? ["object", "list", "string", "number", "word"] : ["string", "number", "word"])) {
    case "object":
      return objectText(random, depth);
    case "list":
      return `[${Array.from({ length: random.int(0, 4) }, () => valueText(random, depth - 1)).join(`${space(random)},${space(random)}`)}${space(random)}]`;
    case "string":
      return stringText(stringValue(random), random);
    case "number":
      return random.pick(["0", "-0", "1", "-12.50", "1e5", "3E-7", "0.1e+2", "1e999", "12345678901234567890"]);
    case "word":
      return random.pick(["true", "false", "null"]);
  }
}

const stringValue = (random: Random): string =>
  Array.from({ length: random.int(0, 12) }, () =>
    random.pick([
      "a",
      "model",
      '"',
      "\\",
      "/",
      "\n",
      "\0",
      "ü",
      "€",
      "😀",
      "\u2028",
      " ",
      "{",
      "}",
      "[",
      ":",
      ",",
      "xyzxyzxyz",
    ]),
  ).join("");

/** Some of its letters are written as escapes that need not be. */
const stringText = (value: string, random: Random): string =>
  `"${JSON.stringify(value)
    .slice(1, -1)
    .replaceAll(/[a-z](?![0-9a-f]{0,3}\b)/g, (letter, at, all) =>
      random.chance(0.1) && all[at - 1] !== "\\" && !/\\u[0-9a-f]{0,3}$/.test(all.slice(0, at))
        ? `\\u00${letter.charCodeAt(0).toString(16)}`
        : letter,
    )}"`;
