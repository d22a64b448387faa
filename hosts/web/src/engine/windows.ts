/**
 * Geometry of sliding windows (realm_engine/maps/windows.py): where they are, which pixels they cover, and maps made
 * from them. Pure functions; arithmetic in float64.
 */

import { RealmError } from "./errors";
import type { Aggregate } from "./manifest";

/** Square windows of one size over an image; throws RealmError "window" for one that does not fit. */
export class WindowGrid {
  readonly rows: number;
  readonly cols: number;

  constructor(
    readonly height: number,
    readonly width: number,
    readonly windowPx: number,
    readonly stridePx: number,
  ) {
    if (windowPx < 1 || stridePx < 1) {
      throw new RealmError(
        "window",
        `window ${windowPx} px and stride ${stridePx} px must both be at least 1`,
      );
    }
    const largest = Math.min(height, width);
    if (windowPx > largest) {
      throw new RealmError(
        "window",
        `a window of ${windowPx} px does not fit an image of ${width} x ${height} px; ` +
          `the largest that fits is ${largest} px`,
      );
    }
    this.rows = Math.floor((height - windowPx) / stridePx) + 1;
    this.cols = Math.floor((width - windowPx) / stridePx) + 1;
  }

  get count(): number {
    return this.rows * this.cols;
  }

  /** First row of window `index`, windows counted row by row. */
  top(index: number): number {
    return Math.floor(index / this.cols) * this.stridePx;
  }

  /** First column of window `index`. */
  left(index: number): number {
    return (index % this.cols) * this.stridePx;
  }
}

/**
 * How much of each window lies in each cell along one axis, float32 (windows, cells); rows sum to 1. Windows of
 * `windowPx` pixels begin every `stridePx` from 0; cell i covers `cellPx` pixels from i * cellPx.
 */
export function boxShares(
  windows: number,
  stridePx: number,
  windowPx: number,
  cells: number,
  cellPx: number,
): Float32Array {
  const shares = new Float32Array(windows * cells);
  for (let window = 0; window < windows; window++) {
    const start = window * stridePx;
    const end = start + windowPx;
    for (let cell = Math.floor(start / cellPx); cell * cellPx < end; cell++) {
      const overlap = Math.min(end, (cell + 1) * cellPx) - Math.max(start, cell * cellPx);
      shares[window * cells + cell] = overlap / windowPx;
    }
  }
  return shares;
}

/** Windows that cover each pixel of an axis, as first and last index; last < first where there is none. */
function covering(length: number, window: number, stride: number): { first: Int32Array; last: Int32Array } {
  const count = Math.floor((length - window) / stride) + 1;
  const first = new Int32Array(length);
  const last = new Int32Array(length);
  for (let pixel = 0; pixel < length; pixel++) {
    first[pixel] = Math.max(0, Math.ceil((pixel - window + 1) / stride));
    last[pixel] = Math.min(count - 1, Math.floor(pixel / stride));
  }
  return { first, last };
}

/** Mean over the windows that cover each pixel, values (rows, cols) -> (height, width); 0 where there is none. */
export function spreadMean(values: Float64Array, grid: WindowGrid): Float64Array {
  const { height, width, rows, cols } = grid;
  if (values.length !== rows * cols) {
    throw new RangeError(`${values.length} values for a grid of ${rows} x ${cols}`);
  }
  const down = covering(height, grid.windowPx, grid.stridePx);
  const across = covering(width, grid.windowPx, grid.stridePx);
  const result = new Float64Array(height * width);
  const line = new Float64Array(cols);
  for (let y = 0; y < height; y++) {
    const top = down.first[y]!;
    const bottom = down.last[y]!;
    if (bottom < top) continue;
    line.fill(0);
    const share = 1 / (bottom - top + 1);
    for (let row = top; row <= bottom; row++) {
      for (let col = 0; col < cols; col++) line[col]! += share * values[row * cols + col]!;
    }
    for (let x = 0; x < width; x++) {
      const left = across.first[x]!;
      const right = across.last[x]!;
      if (right < left) continue;
      const part = 1 / (right - left + 1);
      let sum = 0;
      for (let col = left; col <= right; col++) sum += line[col]! * part;
      result[y * width + x] = sum;
    }
  }
  return result;
}

/** 1 where at least one window covers the pixel, uint8 (height, width). */
export function covered(grid: WindowGrid): Uint8Array {
  const { height, width } = grid;
  const down = covering(height, grid.windowPx, grid.stridePx);
  const across = covering(width, grid.windowPx, grid.stridePx);
  const mask = new Uint8Array(height * width);
  for (let y = 0; y < height; y++) {
    if (down.last[y]! < down.first[y]!) continue;
    for (let x = 0; x < width; x++) mask[y * width + x] = across.last[x]! >= across.first[x]! ? 1 : 0;
  }
  return mask;
}

export interface SpreadMap {
  /** float32 (height, width). */
  readonly values: Float32Array;
  /** uint8 (height, width), 1 where a window covers the pixel. */
  readonly covered: Uint8Array;
}

/** Combine window values of several scales: per pixel the mean or max of the scales that cover it, else NaN. */
export function spreadScales(
  values: readonly Float64Array[],
  grids: readonly WindowGrid[],
  aggregate: Aggregate,
): SpreadMap {
  const size = grids[0]!.height * grids[0]!.width;
  const total = new Float64Array(size);
  const scales = new Uint8Array(size);
  grids.forEach((grid, index) => {
    const spread = spreadMean(values[index]!, grid);
    const mask = covered(grid);
    for (let i = 0; i < size; i++) {
      if (mask[i] === 0) continue;
      if (aggregate === "max") {
        total[i] = scales[i] === 0 ? spread[i]! : Math.max(total[i]!, spread[i]!);
      } else {
        total[i]! += spread[i]!;
      }
      scales[i]!++;
    }
  });
  const result = new Float32Array(size);
  for (let i = 0; i < size; i++) {
    result[i] = scales[i] === 0 ? NaN : aggregate === "max" ? total[i]! : total[i]! / scales[i]!;
    scales[i] = scales[i] === 0 ? 0 : 1;
  }
  return { values: result, covered: scales };
}
