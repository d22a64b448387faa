/**
 * Measures of a bundle of format 1.4, against graphs that ONNX Runtime ran alone in Python.
 *
 * REALM_MEASURES names a folder that tests/hosts/test_web.py writes: `bundle`, PNG pictures, and `cases.json` with a
 * text and the value of every column for each picture.
 */

import fs from "node:fs";
import path from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { Bundle } from "../../src/engine/bundle";
import type { ColumnSpec } from "../../src/engine/column-specs";
import { Engine } from "../../src/engine/engine";
import { parseManifest } from "../../src/engine/manifest";
import { columnValue } from "../../src/engine/measure";
import type { MeasureSpec } from "../../src/engine/measure-specs";
import { supported, warnings } from "../../src/ui/measures-view";
import { BUNDLE, folderSource, goldenPicture, nodeRuntime, QUIET } from "../helpers";

const folder = process.env.REALM_MEASURES;
type Json = Record<string, unknown>;

interface Case {
  picture: string;
  text: string | null;
  values: Record<string, number | string>;
}

describe.skipIf(folder === undefined)("a bundle with measures of every kind", () => {
  const at = folder ?? "";
  let engine: Engine;

  beforeAll(async () => {
    engine = await Engine.open(
      await Bundle.open(folderSource(path.join(at, "bundle"))),
      nodeRuntime(),
      () => {},
    );
  }, 60_000);

  /** Values or words of all columns of all measures, and the errors. */
  async function measured(file: string, text: string | null, names?: string[]) {
    const found = await engine.measure(await goldenPicture(path.join(at, file)), text ?? "", names);
    const values = found.flatMap(({ name, values, words }) => {
      const { columns } = engine.measures.find((spec) => spec.name === name)!;
      return columns.map(
        (column, index) => [column.name, column.words.length > 0 ? words[index]! : values[index]!] as const,
      );
    });
    return { values: Object.fromEntries(values), errors: found.map(({ error }) => error) };
  }

  test("every kind gives the numbers of its graph alone", async () => {
    const cases: Case[] = JSON.parse(fs.readFileSync(path.join(at, "cases.json"), "utf8"));
    expect(cases.length).toBeGreaterThan(2);
    for (const { picture, text, values } of cases) {
      const { loss, doubt, silence, ...found } = (await measured(picture, text)).values;
      expect(Object.keys(found)).toEqual(Object.keys(values));
      for (const [column, value] of Object.entries(values)) {
        if (typeof value === "string") {
          expect(found[column], `${picture} ${column}`).toBe(value);
          continue;
        }
        const limit = column === "place" ? 0.2 : /^realness|contrast/.test(column) ? 0.02 : 1e-4;
        expect(Math.abs(Number(found[column]) - value), `${picture} ${column}`).toBeLessThanOrEqual(limit);
      }
      const alone = await measured(picture, text, ["judge", "edges"]);
      expect(Object.keys(alone.values)).toEqual(["real", "unreal", "guess", "sharpness"]);
      expect(alone.values.real).toBeCloseTo(Number(found.real), 5);
    }
  });

  test("an answer that is no number or word is empty and names its measure, the others keep theirs", async () => {
    const { values, errors } = await measured("a.png", null);
    expect(values.loss).toBeNull();
    expect(values.silence).toBeNull();
    expect(errors).toEqual([
      ...Array(errors.length - 2).fill(null),
      "measure lost: the model's answer is not a number (value of graph broken)",
      expect.stringMatching(/answer is 0\.\d+ \(place of graph mute\), far outside what silence can be$/),
    ]);
    expect(Object.values(values).filter((value) => value === null)).toHaveLength(2);
  });

  test("unknown kinds are left out and named when asked for", async () => {
    expect(engine.measures.map((spec) => spec.name)).toEqual([
      ...["core", "light", "edges", "judge", "lost", "mute"],
    ]);
    for (const [name, message] of [
      ["scenes", "measure scenes is of a kind that this host does not support ('statistics')"],
      ["tiled", "measure tiled looks through a view of the kind 'tiles', that this host does not support"],
      ["beauty", "measure beauty is not in this bundle; it has core, light, edges, judge, lost, mute"],
    ] as const) {
      await expect(measured("a.png", null, [name])).rejects.toThrow(message);
    }
  });

  test.each<[string, unknown, string]>([
    ["measures", [], "m, 'measures' must be a JSON object"],
    ["measures/light/kind", 7, "'kind' is 7, of the wrong kind"],
    ["measures/light/columns", [], "m, 'measures', 'light': no column"],
    ["measures/light/columns/0/name", "error", "the column 'error' is named twice or not allowed"],
    ["measures/light/columns/0/name", "mos", "the column 'mos' is named twice or not allowed"],
    ["measures/light/columns/0/output", "gone", "the graph 'light' has no output 'gone'"],
    ["measures/light/columns/0/low", 2, "'low' must lie below 'high'"],
    ["measures/light/columns/0/better", "up", "'better' is 'up', must be one of high, low"],
    ["measures/light/columns/0/decimals", 400, "'decimals' is 400, must be 0 to 17"],
    ["measures/light/columns/0/flag_above", "high", "'flag_above' is \"high\", of the wrong kind"],
    ["measures/light/columns/0/curve", { any: { x: [0], y: [0] } }, "a 'curve' has no line and no interval"],
    ["measures/light/columns/0/name", "realness_low", "the column 'realness_low' is named twice"],
    ["measures/core/columns/1/interval/share", 1, "'share' is 1, not between 0 and 1"],
    ["measures/core/columns/1/interval/with_text", 0, "'with_text' is 0, not above 0"],
    ["measures/core/more_columns", 7, "'more_columns' is 7, of the wrong kind"],
    [
      "measures/core/more_columns/0/curve",
      { with_text: { x: [0], y: [0] } },
      "'image_only' must be a JSON object",
    ],
    ["measures/core/more_columns/0/curve/image_only/x", [0, 0, 1, 2], "'x' must rise from point to point"],
    ["measures/core/more_columns/0/curve/image_only/x", [0, 1], "have a 'y' each"],
    ["measures/core/more_columns/0/curve/image_only/x", [], "'x' must list 1 to 4096 finite numbers"],
    ["measures/core/more_columns/0/curve/image_only/x", ["0"], "'x' must list 1 to 4096 finite numbers"],
    ["measures/judge/word_columns", {}, "'word_columns' is {}, of the wrong kind"],
    ["measures/judge/word_columns/0/words", ["made"], "'words' must be two or more different ones"],
    ["measures/judge/word_columns/0/words", ["made", "made"], "'words' must be two or more different ones"],
    ["measures/judge/word_columns/0/words", ["made", 1], "'words' must have letters, digits, '-' and '_'"],
    ["measures/judge/word_columns/0/words", ["a", "b, c"], "'words' must have letters, digits, '-' and '_'"],
    ["measures/judge/word_columns/0/name", "mos", "the column 'mos' is named twice or not allowed"],
    ["measures/judge/word_columns/0/output", "gone", "the graph 'judge' has no output 'gone'"],
    ["measures/judge/fitted_on", "core", "'fitted_on' must be a JSON object"],
    ["measures/light/graph", "gone", "the graph 'gone' is not in 'graphs'"],
    ["measures/light/view", { kind: "native" }, "the inputs of the graph 'light' do not suit its view"],
    ["measures/light/licence", "free", "'licence' must be a JSON object"],
    ["measures/judge/tower", "gone", "the tower 'gone' is not in 'towers'"],
    ["measures/judge/graph", "light", "the graph 'light' is no head: one input"],
    ["towers/core/output", "gone", "the graph 'core' has no output 'gone'"],
    ["graphs/light/variants/fp32", "../light.onnx", "leaves the bundle"],
    ["graphs/light/variants", { int8: "light.onnx" }, "the graph 'light' has no file in fp32"],
    ["maps", { phrases: { percentile: 101 } }, "'margin_z' or 'percentile' is out of range"],
    ["maps", { phrases: { most: 0 } }, "'most' is 0, below 1"],
  ])("%s = %j is refused", (keys, value, message) => {
    const manifest: Json = JSON.parse(fs.readFileSync(path.join(at, "bundle/bundle.json"), "utf8"));
    const steps = keys.split("/");
    const last = steps.pop()!;
    steps.reduce((json, key) => json[key] as Json, manifest)[last] = value;
    expect(() => parseManifest(manifest, "m")).toThrow(message);
  });
});

test("a head answers for the tower that it was fitted on, and alone is left out beside another", () => {
  const manifest = JSON.parse(fs.readFileSync(path.join(BUNDLE, "bundle.json"), "utf8"));
  const found = parseManifest(manifest, "m").measures;
  const { fittedOn, problem } = found.find(({ name }) => name === "real-fake")!;
  expect(fittedOn).toEqual(new Map([["core", manifest.files["core.onnx"].sha256]]));
  expect(problem).toBeNull();
  for (const graph of ["core", "gone"]) {
    manifest.measures["real-fake"].fitted_on = { [graph]: `0123${"f".repeat(60)}` };
    const problems = parseManifest(manifest, "m").measures.filter(({ name }) => name !== "real-fake");
    expect(problems).toEqual(found.filter(({ name }) => name !== "real-fake"));
    const left = parseManifest(manifest, "m").measures.find(({ name }) => name === "real-fake")!;
    expect(left.problem).toBe(
      `was fitted on another ${graph} graph (0123...); fit it again with realm-train, or use that bundle`,
    );
  }
});

describe("how sure a number is", () => {
  const column: ColumnSpec = {
    name: "realness",
    meaning: "the rating",
    low: 0,
    high: 100,
    better: "high",
    decimals: 4,
    output: "mos",
    line: { offset: 60, slope: 20 },
    curve: null,
    interval: null,
    flagAbove: null,
    bound: null,
    words: [],
  };
  const halfWidth = { withText: 4, imageOnly: 16.2 };
  const sure: ColumnSpec = { ...column, interval: { share: 0.9, halfWidth } };
  const spec = (columns: ColumnSpec[]): MeasureSpec => ({
    name: "core",
    kind: "core",
    says: "",
    columns,
    graph: "core",
    view: { kind: "native" },
    features: null,
    head: null,
    fittedOn: new Map(),
    problem: null,
  });

  test("ends of an interval are clipped as their column is, with a text or without", () => {
    const low = { ...column, bound: { withText: -4, imageOnly: -16.2 } };
    expect(columnValue(low, 0.5, true)).toBeCloseTo(66, 12);
    expect(columnValue(low, 0.5, false)).toBeCloseTo(53.8, 12);
    expect(columnValue(low, -9, false)).toBe(0);
    expect(columnValue(low, 9, false)).toBeCloseTo(83.8, 12); // of the value that is shown, not of one beyond the range
    expect(columnValue({ ...low, line: null }, 0.5, true)).toBe(-3.5);
  });

  test("a curve is straight between its points and flat beyond them", () => {
    const x = [-1, 0, 0.5, 2];
    const y = [0, 50, 40, 100];
    const place = { ...column, line: null, curve: { withText: { x, y }, imageOnly: { x: [0], y: [7] } } };
    const found = [-3, -1, -0.5, 0, 0.25, 0.5, 1.25, 2, 9].map((at) => columnValue(place, at, true));
    expect(found).toEqual([0, 0, 25, 50, 45, 40, 70, 100, 100]);
    expect([-1, 0, 1].map((at) => columnValue(place, at, false))).toEqual([7, 7, 7]);
  });

  test("no more digits than the interval supports", () => {
    expect(supported(sure, 1)).toBe(0);
    expect(
      supported({ ...sure, interval: { share: 0.9, halfWidth: { withText: 0.02, imageOnly: 0.1 } } }, 1),
    ).toBe(1);
    expect(supported(column, 2)).toBe(2);
    const flat = { x: [0], y: [0] };
    expect(supported({ ...column, curve: { withText: flat, imageOnly: flat } }, 4)).toBe(0);
  });

  test("a value above its flag is a warning, one at it is none", () => {
    const unlike = { ...column, name: "unlike", decimals: 3, flagAbove: 1, meaning: "how far it is" };
    const at = (value: number | null) =>
      warnings(
        [spec([sure, unlike])],
        [{ name: "core", values: [70, value], words: [null, null], error: null }],
      );
    expect(at(3.21)).toEqual(["Distrust these numbers: unlike is 3.2, above 1 (how far it is)."]);
    expect([at(1), at(null)]).toEqual([[], []]);
  });
});

test("a bundle of format 1.0 has the measure core", () => {
  const manifest: Json = JSON.parse(fs.readFileSync(path.join(BUNDLE, "bundle.json"), "utf8"));
  for (const key of ["measures", "towers", "maps"]) Reflect.deleteProperty(manifest, key);
  manifest.format_version = "1.0";
  const { measures, phrasePolicy } = parseManifest(manifest, "m");
  expect(measures.map(({ name }) => name)).toEqual(["core"]);
  expect(measures[0]!.columns.map(({ name }) => name)).toEqual(["mos", "realness"]);
  expect(phrasePolicy).toEqual({ most: 3, marginZ: 1, percentile: 95 });
});

test("which phrases count stands in the manifest", async () => {
  const source = folderSource(BUNDLE);
  const picture = await goldenPicture("images/cat.png");
  const config = { windowsPx: [64], stridePx: 64, aggregate: "mean" } as const;
  async function phrases(policy: Json): Promise<string[]> {
    const manifest: Json = JSON.parse(fs.readFileSync(path.join(BUNDLE, "bundle.json"), "utf8"));
    manifest.maps = { phrases: policy };
    const bytes = new TextEncoder().encode(JSON.stringify(manifest));
    const bundle = await Bundle.open({ ...source, readManifest: async () => bytes });
    const engine = await Engine.open(bundle, nodeRuntime(), () => {});
    return [...(await engine.map(picture, [], config, QUIET)).texts];
  }
  const many = await phrases({ most: 7, margin_z: 1000 });
  expect(many).toHaveLength(7);
  expect(await phrases({ most: 1 })).toEqual(many.slice(0, 1));
  expect(await phrases({ most: 7, margin_z: 0 })).toEqual(many.slice(0, 1));
}, 120_000);
