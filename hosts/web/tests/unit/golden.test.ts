/** The golden vectors of the Python engine, computed by the page's own code on ONNX Runtime's WebAssembly. */

import fs from "node:fs";
import path from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { Bundle } from "../../src/engine/bundle";
import { gridsOf } from "../../src/engine/dream";
import type { EachWindow } from "../../src/engine/encoders";
import { Engine } from "../../src/engine/engine";
import type { TextSpec } from "../../src/engine/manifest";
import { resampleMatrix } from "../../src/engine/resample";
import { bucket, cutTokens } from "../../src/engine/text";
import { Tokenizer } from "../../src/engine/tokenizer";
import {
  BUNDLE,
  folderSource,
  GOLDEN,
  goldenPicture,
  maxDifference,
  nodeRuntime,
  QUIET,
  readGolden,
  readNpy,
} from "../helpers";

const golden = readGolden();
const CLIP_TOKENIZER = process.env.REALM_CLIP_TOKENIZER;
// realm-tiny's CORE text and CLIP's own, as the format of the golden vectors says.
const SPECS: Record<"wordpiece" | "clip", TextSpec> = {
  wordpiece: { tokenizer: "", maxTokens: 128, padId: 0, fixedLength: false, buckets: [32, 64, 128] },
  clip: { tokenizer: "", maxTokens: 77, padId: 0, fixedLength: true, buckets: [77] },
};

let engine: Engine;
let eachWindow: Engine;
const notes: string[] = [];

beforeAll(async () => {
  const bundle = await Bundle.open(folderSource(BUNDLE));
  engine = await Engine.open(bundle, nodeRuntime(), (note) => notes.push(note));
  eachWindow = await Engine.open(
    bundle,
    nodeRuntime(),
    () => {},
    () => {},
    "each-window",
  );
}, 120_000);

describe.each(["wordpiece", "clip"] as const)("tokens of %s", (name) => {
  const file = name === "clip" ? CLIP_TOKENIZER : path.join(BUNDLE, "tokenizer.json");
  const cases = golden.tokens.filter((entry) => entry.tokenizer === name);

  test.skipIf(file === undefined)("ids are exact", () => {
    const tokenizer = new Tokenizer(JSON.parse(fs.readFileSync(file!, "utf8")));
    expect(cases.length).toBeGreaterThan(0);
    for (const { text, ids, padded_length } of cases) {
      const cut = cutTokens(tokenizer, SPECS[name], text);
      expect(cut.ids, text).toEqual(ids);
      expect(bucket(SPECS[name], cut.ids.length), text).toBe(padded_length);
    }
  });
});

/** R_rows P R_cols^T, columns first, rounded and clipped after each pass: what the graphs do. */
function resize(
  pixels: Uint8Array,
  [height, width]: readonly [number, number],
  [outHeight, outWidth]: readonly [number, number],
  interpolation: "bicubic" | "bilinear",
): Uint8ClampedArray {
  const across = resampleMatrix(width, outWidth, interpolation);
  const down = resampleMatrix(height, outHeight, interpolation);
  const level = (value: number) => Math.min(255, Math.max(0, Math.floor(value + 0.5)));
  const narrow = new Uint8ClampedArray(height * outWidth * 3);
  for (let i = 0; i < narrow.length; i++) {
    const [y, x, c] = [Math.floor(i / 3 / outWidth), Math.floor(i / 3) % outWidth, i % 3];
    let sum = 0;
    for (let k = 0; k < width; k++) sum += across[x * width + k]! * pixels[3 * (y * width + k) + c]!;
    narrow[i] = level(sum);
  }
  const result = new Uint8ClampedArray(outHeight * outWidth * 3);
  for (let i = 0; i < result.length; i++) {
    const [y, x, c] = [Math.floor(i / 3 / outWidth), Math.floor(i / 3) % outWidth, i % 3];
    let sum = 0;
    for (let k = 0; k < height; k++) sum += down[y * height + k]! * narrow[3 * (k * outWidth + x) + c]!;
    result[i] = level(sum);
  }
  return result;
}

test.each(golden.preprocessing)("preprocessing of $image at $top, $left -> $out_height", async (entry) => {
  const { rgb, width } = await goldenPicture(entry.image);
  const crop = new Uint8Array(entry.height * entry.width * 3);
  for (let y = 0; y < entry.height; y++) {
    const from = 3 * ((entry.top + y) * width + entry.left);
    crop.set(rgb.subarray(from, from + 3 * entry.width), 3 * y * entry.width);
  }
  const expected = await goldenPicture(entry.pixels);
  const actual = resize(
    crop,
    [entry.height, entry.width],
    [entry.out_height, entry.out_width],
    entry.interpolation,
  );
  expect(maxDifference(actual, expected.rgb)).toBeLessThanOrEqual(golden.tolerances.preprocessing_levels);
});

function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [dot, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    dot += a[i]! * b[i]!;
    aa += a[i]! ** 2;
    bb += b[i]! ** 2;
  }
  return dot / Math.sqrt(aa * bb);
}

test("embeddings", async () => {
  for (const { text, core: coreFeatures, clip } of golden.embeddings) {
    const [actualCore] = await engine.coreText!.features([text]);
    const [actualClip] = await engine.dream!.embed([text]);
    expect(actualCore!.length).toBe(coreFeatures.length);
    expect(cosine(actualCore!, coreFeatures), text).toBeGreaterThanOrEqual(
      golden.tolerances.embedding_cosine,
    );
    expect(cosine(actualClip!, clip), text).toBeGreaterThanOrEqual(golden.tolerances.embedding_cosine);
  }
});

test.each(golden.similarities)("similarities of $image, $window_px px", async (entry) => {
  const picture = await goldenPicture(entry.image);
  const embeddings = await engine.dream!.embed(entry.texts);
  const encoder = eachWindow.dream!.encoder as EachWindow;
  const actual = await encoder.encode(picture, entry.window_px, entry.top, entry.left, embeddings, QUIET);
  expect(maxDifference(actual, entry.values.flat())).toBeLessThanOrEqual(
    golden.tolerances.similarity_max_abs,
  );
});

test.each(golden.scores)("score of $image", async ({ image, text, mos, realness }) => {
  const [core] = await engine.measure(await goldenPicture(image), text ?? "", ["core"]);
  const [actualMos, actualRealness] = core!.values;
  expect(Math.abs(actualMos! - mos)).toBeLessThanOrEqual(golden.tolerances.mos_max_abs);
  expect(Math.abs(actualRealness! - realness)).toBeLessThanOrEqual(20 * golden.tolerances.mos_max_abs);
});

test.each(golden.probes)("verdict of $image", async (entry) => {
  const [probe] = await engine.measure(await goldenPicture(entry.image), "", ["real-fake"]);
  const { columns } = engine.measures.find((spec) => spec.name === "real-fake")!;
  const { p_fake_max_abs, unlike_max_abs } = golden.tolerances;
  expect(columns.map((column) => column.name)).toEqual(["p_fake", "real_fake_unlike", "verdict"]);
  expect(Math.abs(probe!.values[0]! - entry.p_fake)).toBeLessThanOrEqual(p_fake_max_abs);
  expect(Math.abs(probe!.values[1]! - entry.real_fake_unlike)).toBeLessThanOrEqual(unlike_max_abs);
  expect(probe!.words).toEqual([null, null, entry.verdict]);
});

test.each(golden.maps)("map $values", async (entry) => {
  const picture = await goldenPicture(entry.image);
  const { encoder, aggregate } = entry;
  const config = { windowsPx: entry.windows_px, stridePx: entry.stride_px, aggregate, encoder };
  const map = await engine.map(picture, entry.texts, config, QUIET);
  const expected = readNpy(new Uint8Array(fs.readFileSync(path.join(GOLDEN, entry.values))));
  expect(expected.shape).toEqual([picture.height, picture.width]);
  expect(gridsOf(config, picture.height, picture.width).reduce((n, grid) => n + grid.count, 0)).toBe(
    map.windows,
  );
  const values = entry.quantity === "realness" ? map.values : map.values.map((value) => 1 - value);
  expect(maxDifference(values, expected.values)).toBeLessThanOrEqual(golden.tolerances.map_max_abs);
});

test.each(
  golden.decoding.filter((entry) => entry.file.endsWith(".png")),
)("decoding of $file", async (entry) => {
  const actual = await goldenPicture(entry.file);
  const expected = await goldenPicture(entry.rgb);
  expect([actual.width, actual.height]).toEqual([expected.width, expected.height]);
  expect(maxDifference(actual.rgb, expected.rgb)).toBeLessThanOrEqual(entry.max_levels);
});

test("texts that are cut are said", () => {
  expect(notes.some((note) => /^a text of \d+ tokens is cut to the first 128: '/.test(note))).toBe(true);
});
