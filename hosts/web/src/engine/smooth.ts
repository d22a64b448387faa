/** A map for eyes: its values change from stride to stride in steps, which a picture of it need not show. */

/**
 * Means over a square of `stridePx`, centred on every pixel: between the middles of two steps of that width the values
 * then run along a straight line. Uncovered pixels count for nothing and stay as they are.
 *
 * For pictures only: values in files, under the pointer and at the ends of the colours are those of the map.
 */
export function smooth(
  values: Float32Array,
  covered: Uint8Array,
  width: number,
  stridePx: number,
): Float32Array {
  if (stridePx < 2) return values;
  const height = values.length / width;
  const sums = Float64Array.from(values, (value, at) => (covered[at] === 0 ? 0 : value));
  const weights = Float64Array.from(covered, (each) => (each === 0 ? 0 : 1));
  for (const field of [sums, weights]) {
    for (let row = 0; row < height; row++) boxSums(field, row * width, 1, width, stridePx);
    for (let column = 0; column < width; column++) boxSums(field, column, width, height, stridePx);
  }
  return values.map((value, at) => (covered[at] === 0 ? value : sums[at]! / weights[at]!));
}

/** Replace `count` values by their sums over `box` around them; of an even box half of either end counts. */
function boxSums(field: Float64Array, from: number, step: number, count: number, box: number): void {
  const before = new Float64Array(count + 1); // [i]: sum of the first i
  for (let i = 0; i < count; i++) before[i + 1] = before[i]! + field[from + i * step]!;
  /** The sum of what lies left of a place, which may lie between two pixels or beyond the ends. */
  const upTo = (place: number): number => {
    const inside = Math.min(count, Math.max(0, place));
    const whole = Math.floor(inside);
    const next = whole < count ? before[whole + 1]! : before[whole]!;
    return before[whole]! + (inside - whole) * (next - before[whole]!);
  };
  for (let i = 0; i < count; i++) {
    field[from + i * step] = upTo(i + 0.5 + box / 2) - upTo(i + 0.5 - box / 2);
  }
}
