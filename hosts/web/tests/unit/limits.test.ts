/** What a stranger's bundle may ask for: paths, JSON, numbers. The same limits as in the other hosts. */

import fs from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { Bundle } from "../../src/engine/bundle";
import { RealmError } from "../../src/engine/errors";
import { parseJson } from "../../src/engine/json";
import { MANIFEST_LIMITS } from "../../src/engine/limits";
import { parseBank } from "../../src/engine/phrases";
import { cosines, finite } from "../../src/engine/runtime";
import { safeRelative } from "../../src/engine/section";
import { HttpSource } from "../../src/worker/download";
import { folderSource } from "../helpers";

const ELSEWHERE = [
  ...[
    "https://other/x.onnx",
    "http:x",
    "//other/x.onnx",
    "/x.onnx",
    "data:,x",
    "blob:x",
    "javascript:x",
    "C:/x",
  ],
  ...["../x", "a/../../x", "%2e%2e/x", "%2E%2e/x", "a/%2e./x", "..%2fx", "%2fx", "a%00b", "a%5c..%5cx"],
  ...["..\\x", "a\\b", "\\\\other\\x", "a\0b", "a\nb", ".\t./x", " /x", " https://other/x", "x ", "\u0085x"],
  ...["x?y", "x#y", "?", "#", "", ".", "./", "..", "a/.."],
  ...[7, null, true, {}, []],
];

describe("paths", () => {
  test.each(ELSEWHERE)("%j is refused", (file) => {
    expect(() => safeRelative(file, "m")).toThrow(/^m: the path '.*' leaves the bundle; do not use/);
  });

  test.each([
    "core.onnx",
    "a/b.json",
    "./x",
    "a b.onnx",
    "größe.onnx",
    "a..b",
    "..a",
    "x'y",
    "a+b=c&d",
  ])("%j is plain", (file) => {
    expect(safeRelative(file, "m")).toBe(file);
    const base = "http://localhost/some/folder/";
    expect(new URL(file, base).href.startsWith(base)).toBe(true);
  });

  test("what was let through is still not fetched from elsewhere", async () => {
    const source = new HttpSource("http://localhost/some/folder/", "folder/", () => {});
    const entry = { sha256: "0".repeat(64), sizeBytes: 1 };
    for (const file of ["https://other/x", "//other/x", "%2e%2e/x", "/x"]) {
      await expect(source.read(file, entry, async () => {})).rejects.toThrow("leaves the bundle");
    }
  });
});

describe("JSON", () => {
  const parse = (text: string) =>
    parseJson(new TextEncoder().encode(text), MANIFEST_LIMITS, "m", "valid JSON");

  test("within its limits", () => {
    expect(parse('{"a": [1, "{[:\\"]}"]}')).toEqual({ a: [1, '{[:"]}'] });
    expect(parse(`${"[".repeat(100)}${"]".repeat(100)}`)).toBeDefined();
  });

  test.each<[string, string]>([
    [
      "[".repeat(101) + "]".repeat(101),
      "m: not valid JSON (nested deeper than 100); export the bundle again",
    ],
    ["[".repeat(1_000_000), "nested deeper than 100"],
    [`[${'{"a":1},'.repeat(20_001)}1]`, "m: not valid JSON (more than 20000 members); export"],
    [" ".repeat(MANIFEST_LIMITS.bytes + 1), "m: more than 4 MiB of text; export the bundle again"],
    ['{"a": NaN}', "m: not valid JSON ("],
    ['{"a": "\\ud800"}', "half of a surrogate pair"],
    ["", "m: not valid JSON ("],
  ])("beyond them", (text, message) => {
    expect(() => parse(text)).toThrow(message);
  });

  test("that is no UTF-8", () => {
    expect(() => parseJson(Uint8Array.of(0x22, 0xff, 0x22), MANIFEST_LIMITS, "m", "valid JSON")).toThrow(
      RealmError,
    );
  });
});

test("phrases", () => {
  const entry = { text: "x", kind: "y", mean: 0.1, std: 0.1 };
  expect(parseBank({ phrases: [entry] }, "p")).toEqual([entry]);
  const wrong = [
    ...[
      { ...entry, text: 5 },
      { ...entry, std: 0 },
      { ...entry, std: "1" },
      { ...entry, mean: Number.POSITIVE_INFINITY },
    ],
    ...[{ ...entry, std: 1e-9 }, { ...entry, mean: 2 }, { ...entry, text: "x".repeat(1001) }, null],
  ];
  for (const phrase of wrong) expect(() => parseBank({ phrases: [phrase] }, "p")).toThrow("p: a phrase bank");
  for (const phrases of [[], Array(1025).fill(entry), {}, undefined]) {
    expect(() => parseBank({ phrases }, "p")).toThrow("p: a phrase bank");
  }
});

test("answers that are no numbers, and cosines that are none", () => {
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
    expect(() => finite(Float32Array.of(0, value), "similarity")).toThrow(
      "graph of similarity: 1 of 2 values are NaN or infinite",
    );
    expect(() => cosines(Float32Array.of(0, value), "similarity")).toThrow("NaN or infinite");
  }
  expect(() => cosines(Float32Array.of(0, 3e38), "similarity")).toThrow(
    "graph of similarity: a cosine of 3e+38",
  );
  expect(cosines(Float32Array.of(-1, 1.005), "similarity")).toHaveLength(2);
});

/** Bundles that every host must refuse, written by tests/hosts/test_limits.py. */
const refused = process.env.REALM_REFUSED;

test.runIf(refused)("what the other hosts refuse", async () => {
  const names = fs.readdirSync(refused!).sort();
  expect(names.length).toBeGreaterThan(10);
  for (const name of names) {
    const folder = path.join(refused!, name);
    const opened = Bundle.open(folderSource(folder));
    if (name === "good") expect((await opened).manifest.name).not.toBe("");
    else await expect(opened, name).rejects.toThrow(RealmError);
  }
});
