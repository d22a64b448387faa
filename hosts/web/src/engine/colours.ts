/** Colours of a map, those of realm_engine/maps/render.py: hot (white, yellow, red) is unreal, dark is real. */

// A map without contrast must look flat: stretching less than this to the full range would show only noise.
export const MINIMUM_SPAN = 0.02;
const UNCOVERED = [128, 128, 128] as const;

export type Limits = readonly [low: number, high: number];

function interpolate(x: number, from: Limits, to: Limits): number {
  const share = Math.min(1, Math.max(0, (x - from[0]) / (from[1] - from[0])));
  return to[0] + share * (to[1] - to[0]);
}

/** The colour map "hot", RGB of 256 levels of unrealness; the corners are Matplotlib's, as published. */
export const HOT: Uint8Array = (() => {
  const table = new Uint8Array(256 * 3);
  for (let i = 0; i < 256; i++) {
    const level = i / 255;
    const rgb = [
      interpolate(level, [0, 0.365079], [0.0416, 1]),
      interpolate(level, [0.365079, 0.746032], [0, 1]),
      interpolate(level, [0.746032, 1], [0, 1]),
    ];
    rgb.forEach((value, channel) => {
      table[3 * i + channel] = Math.floor(value * 255 + 0.5);
    });
  }
  return table;
})();

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

/**
 * RGBA (height, width) of a map of realness, hot where it is low. Pixels that no window covers are grey, or
 * transparent (`hideUncovered`), so that an overlay shows the bare picture there.
 */
export function heatmap(
  values: Float32Array,
  covered: Uint8Array,
  limits: Limits,
  hideUncovered: boolean,
): Uint8ClampedArray<ArrayBuffer> {
  const [low, high] = limits;
  const span = Math.max(high - low, 1e-12);
  const rgba = new Uint8ClampedArray(4 * values.length);
  for (let i = 0; i < values.length; i++) {
    const real = Math.min(1, Math.max(0, (values[i]! - low) / span));
    const level = Math.floor((1 - real) * 255 + 0.5);
    for (let channel = 0; channel < 3; channel++) {
      rgba[4 * i + channel] = covered[i] === 0 ? UNCOVERED[channel]! : HOT[3 * level + channel]!;
    }
    rgba[4 * i + 3] = covered[i] === 0 && hideUncovered ? 0 : 255;
  }
  return rgba;
}
