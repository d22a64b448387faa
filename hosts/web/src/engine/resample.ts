/** Pillow's resampling as a matrix (realm_engine/pictures/resample.py): resizing is two matrix products in the graph. */

import type { Interpolation } from "./manifest";

// Pillow's fixed-point precision for 8-bit images: 32 bits - 8 of the pixel - 2 of headroom (Resample.c).
const UNIT = 2 ** 22;

function bilinear(x: number): number {
  return Math.max(0, 1 - Math.abs(x));
}

function bicubic(value: number): number {
  const a = -0.5;
  const x = Math.abs(value);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

const FILTERS = { bilinear: [bilinear, 1], bicubic: [bicubic, 2] } as const;

/**
 * R, float32 row-major (outSize, inSize), with which Pillow resizes one axis.
 *
 * Computed in float64, weights normalised and rounded to multiples of 2^-22, then stored as float32. Equal
 * sizes give the identity. Throws RangeError for a size below 1.
 */
export function resampleMatrix(inSize: number, outSize: number, interpolation: Interpolation): Float32Array {
  if (inSize < 1 || outSize < 1) {
    throw new RangeError(`sizes must be at least 1, got ${inSize} -> ${outSize}`);
  }
  const matrix = new Float32Array(outSize * inSize);
  if (inSize === outSize) {
    for (let i = 0; i < inSize; i++) matrix[i * inSize + i] = 1;
    return matrix;
  }
  const [kernel, support] = FILTERS[interpolation];
  const scale = inSize / outSize;
  const filterScale = Math.max(scale, 1);
  const reach = support * filterScale;
  const weights = new Float64Array(2 * Math.ceil(reach) + 2);
  for (let row = 0; row < outSize; row++) {
    const centre = (row + 0.5) * scale;
    const first = Math.max(Math.trunc(centre - reach + 0.5), 0);
    const last = Math.min(Math.trunc(centre + reach + 0.5), inSize);
    let total = 0;
    for (let x = first; x < last; x++) {
      const weight = kernel((x - centre + 0.5) * (1 / filterScale));
      weights[x - first] = weight;
      total += weight;
    }
    for (let x = first; x < last; x++) {
      const weight = weights[x - first]!;
      const share = total !== 0 ? weight / total : weight;
      matrix[row * inSize + x] = Math.trunc(share * UNIT + (share < 0 ? -0.5 : 0.5)) / UNIT;
    }
  }
  return matrix;
}

const MEMORY = 16;

/** `resampleMatrix`, the last few kept: a picture is looked at with several texts. */
export class ResampleCache {
  private readonly kept = new Map<string, Float32Array>();

  get(inSize: number, outSize: number, interpolation: Interpolation): Float32Array {
    const key = `${inSize} ${outSize} ${interpolation}`;
    const matrix = this.kept.get(key) ?? resampleMatrix(inSize, outSize, interpolation);
    this.kept.delete(key);
    this.kept.set(key, matrix);
    if (this.kept.size > MEMORY) this.kept.delete(this.kept.keys().next().value!);
    return matrix;
  }
}
