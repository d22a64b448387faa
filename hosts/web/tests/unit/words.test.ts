/** What the page says of a score, and how a map looks: pure functions against plain definitions. */

import { expect, test } from "vitest";
import { smooth } from "../../src/engine/smooth";
import { verdictOf } from "../../src/ui/verdict";

test.each([
  [3, 40, "Scores lower than nearly all photographs"],
  [5, 94, "Scores lower than nearly all photographs"],
  [14, 59, "No verdict: photographs and generated pictures both score like this"],
  [84, 93, "No verdict: photographs and generated pictures both score like this"],
  [60, 95, "Scores higher than nearly all generated pictures"],
  [2, 97, "Scores lower than nearly all photographs and higher than nearly all generated pictures"],
])("percentiles %d and %d", (photographs, generated, words) => {
  const verdict = verdictOf(photographs, generated)!;
  expect(verdict.words).toBe(words);
  expect(verdict.detail).toContain(`${photographs} % score lower`);
  expect(verdict.detail).toContain(`generated pictures ${generated} %.`);
});

test("a bundle that is not calibrated has no words", () => {
  expect(verdictOf(null, 50)).toBeNull();
  expect(verdictOf(50, null)).toBeNull();
});

/** The mean over the covered part of a square by its definition, in fractions of pixels. */
function slowMean(
  values: Float32Array,
  covered: Uint8Array,
  width: number,
  at: number,
  side: number,
): number {
  const height = values.length / width;
  const [x, y] = [at % width, Math.floor(at / width)];
  const share = (i: number, middle: number) =>
    Math.max(0, Math.min(i + 1, middle + 0.5 + side / 2) - Math.max(i, middle + 0.5 - side / 2));
  let sum = 0;
  let weight = 0;
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const part = share(row, y) * share(column, x) * covered[row * width + column]!;
      sum += part * (part > 0 ? values[row * width + column]! : 0);
      weight += part;
    }
  }
  return sum / weight;
}

test.each([1, 2, 5, 8, 40])("a map smoothed over %d px is the mean around each pixel", (stride) => {
  const [width, height] = [23, 17];
  let state = 7;
  const values = Float32Array.from({ length: width * height }, () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  });
  const covered = Uint8Array.from(values, (_, at) => (at % width < 20 && at < 15 * width ? 1 : 0));
  const drawn = smooth(values, covered, width, stride);
  for (let at = 0; at < values.length; at++) {
    const expected = covered[at] === 1 ? slowMean(values, covered, width, at, stride) : values[at]!;
    expect(drawn[at]).toBeCloseTo(expected, 5);
  }
});

test("between the middles of two steps a smoothed map is a straight line", () => {
  const values = Float32Array.from({ length: 32 }, (_, x) => (x < 16 ? 0 : x < 24 ? 1 : 1));
  const drawn = smooth(values, new Uint8Array(32).fill(1), 32, 8);
  for (let x = 12; x < 20; x++) expect(drawn[x]).toBeCloseTo((x + 0.5 - 12) / 8, 6);
  expect([drawn[0], drawn[11], drawn[20], drawn[31]].map((value) => value!.toFixed(6))).toEqual([
    "0.000000",
    "0.000000",
    "1.000000",
    "1.000000",
  ]);
});
