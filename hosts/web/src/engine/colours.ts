/** Colours of a map, those of realm_engine/maps/render.py: transparent where it looks real, magenta where it is worst. */

import table from "../../../../realm_engine/maps/colours.csv?raw";

// A map without contrast must look flat: stretching less than this to the full range would show only noise.
export const MINIMUM_SPAN = 0.02;

export type Limits = readonly [low: number, high: number];

/** Red, green, blue and alpha of 256 levels from real to unreal: the one table that all hosts share. */
export const COLOURS: Uint8ClampedArray = Uint8ClampedArray.from(
  table.trim().split("\n").slice(1).join(",").split(","),
  Number,
);

/** RGBA of a legend's pixels: the table from unreal to real, as realness grows. */
export function ramp(): Uint8ClampedArray<ArrayBuffer> {
  const rgba = new Uint8ClampedArray(COLOURS.length);
  for (let at = 0; at < COLOURS.length; at += 4) {
    rgba.set(COLOURS.subarray(at, at + 4), COLOURS.length - 4 - at);
  }
  return rgba;
}

/** Lowest and highest covered value, widened to at least `MINIMUM_SPAN`. */
export function colourLimits(values: Float32Array, covered: Uint8Array): Limits {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < values.length; i++) {
    if (covered[i] === 0) continue;
    low = Math.min(low, values[i]!);
    high = Math.max(high, values[i]!);
  }
  if (low > high) return [0, MINIMUM_SPAN];
  const missing = Math.max(0, MINIMUM_SPAN - (high - low)) / 2;
  return [low - missing, high + missing];
}

/** RGBA (height, width) of a map of realness, densest where it is low; transparent where no window covers. */
export function heatmap(
  values: Float32Array,
  covered: Uint8Array,
  limits: Limits,
): Uint8ClampedArray<ArrayBuffer> {
  const [low, high] = limits;
  const span = Math.max(high - low, 1e-12);
  const rgba = new Uint8ClampedArray(4 * values.length);
  for (let i = 0; i < values.length; i++) {
    if (covered[i] === 0) continue;
    const real = Math.min(1, Math.max(0, (values[i]! - low) / span));
    const level = Math.floor((1 - real) * 255 + 0.5);
    rgba.set(COLOURS.subarray(4 * level, 4 * level + 4), 4 * i);
  }
  return rgba;
}
