/** Windows, colours, percentiles and files of numbers against plain definitions. */

import { describe, expect, test } from "vitest";
import { COLOURS, colourLimits, heatmap, MINIMUM_SPAN } from "../../src/engine/colours";
import { gridsOf } from "../../src/engine/dream";
import { writeNpy } from "../../src/engine/npy";
import { percentile } from "../../src/engine/phrases";
import { resampleMatrix } from "../../src/engine/resample";
import { finite } from "../../src/engine/runtime";
import { boxShares, spreadScales, WindowGrid } from "../../src/engine/windows";
import { quickConfig, whyWait } from "../../src/ui/settings";
import { maxDifference, readNpy } from "../helpers";

/** Numbers that look random and are the same in every run. */
function noise(count: number): Float64Array {
  let state = 1;
  return Float64Array.from({ length: count }, () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  });
}

/** The map by its definition: for every pixel, look at every window. */
function slowMap(grids: WindowGrid[], values: Float64Array[], aggregate: string): Float64Array {
  const { height, width } = grids[0]!;
  return Float64Array.from({ length: height * width }, (_, pixel) => {
    const [y, x] = [Math.floor(pixel / width), pixel % width];
    const scales = grids.flatMap((grid, scale) => {
      const covering = Array.from({ length: grid.count }, (_, i) => i).filter((i) => {
        const [top, left] = [grid.top(i), grid.left(i)];
        return y >= top && y < top + grid.windowPx && x >= left && x < left + grid.windowPx;
      });
      const sum = covering.reduce((total, i) => total + values[scale]![i]!, 0);
      return covering.length > 0 ? [sum / covering.length] : [];
    });
    if (scales.length === 0) return NaN;
    return aggregate === "max" ? Math.max(...scales) : scales.reduce((a, b) => a + b, 0) / scales.length;
  });
}

test("an answer that is not a number is an error that names the output", () => {
  expect(finite(Float32Array.of(0, -1, 3e38), "similarity")).toEqual(Float32Array.of(0, -1, 3e38));
  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
    expect(() => finite(Float32Array.of(0, bad), "similarity")).toThrow(
      "graph of similarity: 1 of 2 values are NaN or infinite",
    );
  }
});

describe.each(["mean", "max"] as const)("maps by %s", (aggregate) => {
  test.each([
    [37, 53, [16], 4],
    [37, 53, [8, 16], 7],
    [20, 20, [20], 3],
    [30, 41, [5, 9], 11], // gaps between windows
    [9, 64, [9, 1], 1],
  ])("%i x %i, windows %j, stride %i", (height, width, windowsPx, stridePx) => {
    const grids = gridsOf({ windowsPx, stridePx, aggregate }, height, width);
    const values = grids.map((grid) => noise(grid.count).map((value) => value - 0.5));
    const { values: map, covered } = spreadScales(values, grids, aggregate);
    const expected = slowMap(grids, values, aggregate);
    expect(maxDifference(map, expected)).toBeLessThan(1e-6);
    expect(covered.every((mark, i) => mark === 1 || Number.isNaN(map[i]!))).toBe(true);
  });
});

test("windows are those of range(0, length - window + 1, stride)", () => {
  const grid = new WindowGrid(100, 130, 64, 16);
  expect([grid.rows, grid.cols, grid.count]).toEqual([3, 5, 15]);
  expect([grid.top(14), grid.left(14)]).toEqual([32, 64]);
});

test.each([1, 4, 7])("shares of windows in cells of %i px count pixels", (cellPx) => {
  const [windows, stridePx, windowPx, cells] = [4, 3, 6, 16];
  const found = boxShares(windows, stridePx, windowPx, cells, cellPx);
  const expected = new Float64Array(windows * cells);
  for (let pixel = 0; pixel < windows * windowPx; pixel++) {
    const window = Math.floor(pixel / windowPx);
    const cell = Math.floor((window * stridePx + (pixel % windowPx)) / cellPx);
    expected[window * cells + cell]! += 1 / windowPx;
  }
  expect(maxDifference(found, expected)).toBeLessThan(1e-7);
});

test("resample rows sum to one, in multiples of 2^-22", () => {
  for (const [from, to] of [
    [100, 64],
    [40, 64],
    [1, 7],
  ] as const) {
    const matrix = resampleMatrix(from, to, "bicubic");
    for (let row = 0; row < to; row++) {
      const weights = matrix.subarray(row * from, (row + 1) * from);
      expect(Math.abs(weights.reduce((a, b) => a + b, 0) - 1)).toBeLessThan(1e-5);
    }
    expect([...matrix].every((weight) => Number.isInteger(weight * 2 ** 22))).toBe(true);
  }
  expect([...resampleMatrix(2, 2, "bilinear")]).toEqual([1, 0, 0, 1]);
});

test("percentiles lie between neighbours, as numpy's", () => {
  expect(percentile(Float64Array.of(3, 1, 2), 0.5)).toBe(2);
  expect(percentile(Float64Array.of(0, 10), 0.95)).toBeCloseTo(9.5, 12);
  expect(percentile(Float64Array.of(7), 0.95)).toBe(7);
});

test("npy files come back", () => {
  const values = Float32Array.from(noise(6));
  const bytes = writeNpy(values, 2, 3);
  expect(bytes.length % 4).toBe(0);
  expect((bytes.length - 24) % 64).toBe(0); // data start at a multiple of 64
  expect(readNpy(bytes)).toEqual({ values, shape: [2, 3] });
});

test("low realness is dense magenta, high is transparent, and so is what no window covers", () => {
  const covered = Uint8Array.of(1, 1, 1, 0);
  const values = Float32Array.of(0.2, 0.6, 1, 0);
  const limits = colourLimits(values, covered);
  expect(limits.map((limit) => limit.toFixed(3))).toEqual(["0.200", "1.000"]);
  const rgba = heatmap(values, covered, limits);
  expect([...rgba.subarray(0, 4)]).toEqual([255, 0, 255, 217]);
  expect(rgba[7]).toBeGreaterThan(50);
  expect(rgba[7]).toBeLessThan(100);
  expect([rgba[11], rgba[15]]).toEqual([0, 0]);
  expect(COLOURS.length).toBe(1024);
});

test("a map without contrast stays flat", () => {
  const [low, high] = colourLimits(Float32Array.of(0.5, 0.501), Uint8Array.of(1, 1));
  expect(high - low).toBeCloseTo(MINIMUM_SPAN, 6);
  expect(colourLimits(Float32Array.of(0), Uint8Array.of(0))).toEqual([0, MINIMUM_SPAN]);
});

test("the quick preset widens the stride until a picture makes few windows", () => {
  const preset = { windowsPx: [64], stridePx: 8, aggregate: "mean" } as const;
  expect(quickConfig(preset, { width: 160, height: 132 }).stridePx).toBe(8);
  expect(quickConfig(preset, { width: 512, height: 384 }).stridePx).toBe(16);
  expect(quickConfig(preset, { width: 4000, height: 3000 }).stridePx).toBe(128);
  const pass = { ...preset, encoder: "one-pass" } as const;
  expect(quickConfig(pass, { width: 1024, height: 1024 }).stridePx).toBe(8);
  expect(quickConfig(pass, { width: 4000, height: 3000 }).stridePx).toBe(24);
});

test("a map that nobody asked for waits where it makes many windows, or passes over many pixels", () => {
  const [small, large] = [
    { width: 512, height: 384 },
    { width: 4000, height: 3000 },
  ];
  const each = (windows: number) => ({ encoder: "each-window", windows }) as const;
  const pass = (windows: number) => ({ encoder: "one-pass", windows }) as const;
  expect(whyWait([each(1600)], large)).toBeNull();
  expect(whyWait([pass(1600)], small)).toBeNull();
  expect(whyWait([pass(48000)], small)).toBeNull();
  expect(whyWait([each(800), pass(24001)], small)).toContain("24,801 windows take a while");
  expect(whyWait([each(1600), each(1)], small)).toBe("1,601 windows take a while: choose a wider stride, or");
  expect(whyWait([each(1), pass(1)], large)).toBe("One pass over 12 megapixels takes a while:");
});
