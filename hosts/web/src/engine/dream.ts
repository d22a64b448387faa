/** DREAM: a picture and texts -> a map of how real every pixel looks, in calls of a few windows. */

import { RealmError } from "./errors";
import type { Picture } from "./looker";
import type { Aggregate, DreamSpec } from "./manifest";
import { ResampleCache } from "./resample";
import { finite, type Session } from "./runtime";
import type { TextEncoder } from "./text";
import { type SpreadMap, spreadScales, WindowGrid } from "./windows";

// As in the Python engine: small windows leave a core idle between operators. Bounds the memory of a call, too:
// 64 windows of 64 px or 32 of 224 px are below 20 MB of input and some 200 MB of activations.
const WINDOWS_PER_CALL = 32;
const SMALL_WINDOW_PX = 112;

export interface MapConfig {
  readonly windowsPx: readonly number[];
  readonly stridePx: number;
  readonly aggregate: Aggregate;
}

export interface Steps {
  /** Called with the number of windows that are done, and how many there are in all. */
  progress(done: number, total: number): void;
  /** Awaited between calls; throws to give up. */
  pause(): Promise<void>;
}

/** Check a configuration and lay its windows over a picture. Throws RealmError "window". */
export function gridsOf(config: MapConfig, height: number, width: number): WindowGrid[] {
  const { windowsPx, stridePx } = config;
  if (windowsPx.length === 0) {
    throw new RealmError("window", "no window size given; give at least one, such as 64");
  }
  if (new Set(windowsPx).size !== windowsPx.length) {
    throw new RealmError("window", `window sizes (${windowsPx.join(", ")}) repeat; give each once`);
  }
  for (const size of [...windowsPx, stridePx]) {
    if (!Number.isInteger(size) || size < 1) {
      throw new RealmError("window", `window sizes and stride must be whole numbers from 1, not ${size}`);
    }
  }
  return windowsPx.map((window) => new WindowGrid(height, width, window, stridePx));
}

/** Windows that a configuration lays over a picture. Throws RealmError "window". */
export function countWindows(
  config: MapConfig,
  { height, width }: Pick<Picture, "height" | "width">,
): number {
  return gridsOf(config, height, width).reduce((sum, grid) => sum + grid.count, 0);
}

export class Dream {
  private readonly matrices = new ResampleCache();
  readonly windowsPerCall: number;

  constructor(
    readonly spec: DreamSpec,
    private readonly text: TextEncoder,
    private readonly session: Session,
  ) {
    this.windowsPerCall = (spec.imageSizePx <= SMALL_WINDOW_PX ? 2 : 1) * WINDOWS_PER_CALL;
  }

  /** Embeddings of texts, each float32 (D), L2-normalised. */
  embed(texts: readonly string[]): Promise<Float32Array[]> {
    return this.text.features(texts);
  }

  /** Realness (1 - cosine, low = unreal) of every pixel; several texts count by the mean of their similarities. */
  async map(picture: Picture, texts: readonly string[], config: MapConfig, steps: Steps): Promise<SpreadMap> {
    const grids = gridsOf(config, picture.height, picture.width);
    if (texts.length === 0) throw new RealmError("usage", "a map needs at least one text");
    const embeddings = await this.embed(texts);
    const total = grids.reduce((sum, grid) => sum + grid.count, 0);
    let before = 0;
    const realness: Float64Array[] = [];
    for (const grid of grids) {
      const similarity = await this.similarities(picture, grid, embeddings, {
        progress: (done) => steps.progress(before + done, total),
        pause: () => steps.pause(),
      });
      before += grid.count;
      const values = new Float64Array(grid.count);
      for (let window = 0; window < grid.count; window++) {
        let sum = 0;
        for (let text = 0; text < texts.length; text++) sum += similarity[window * texts.length + text]!;
        values[window] = 1 - sum / texts.length;
      }
      realness.push(values);
    }
    return spreadScales(realness, grids, config.aggregate);
  }

  /** Cosine of every window with every embedding, float32 (windows, texts), windows row by row. */
  async similarities(
    picture: Picture,
    grid: WindowGrid,
    embeddings: readonly Float32Array[],
    steps: Steps,
  ): Promise<Float32Array> {
    const tops = Array.from({ length: grid.count }, (_, index) => grid.top(index));
    const lefts = Array.from({ length: grid.count }, (_, index) => grid.left(index));
    return this.encode(picture, grid.windowPx, tops, lefts, embeddings, steps);
  }

  /** Cosines float32 (windows, texts) of windows at the given corners, in calls of `windowsPerCall`. */
  async encode(
    picture: Picture,
    windowPx: number,
    tops: readonly number[],
    lefts: readonly number[],
    embeddings: readonly Float32Array[],
    steps: Steps,
  ): Promise<Float32Array> {
    const { imageSizePx, interpolation } = this.spec;
    const width = embeddings[0]!.length;
    const text = new Float32Array(embeddings.length * width);
    embeddings.forEach((row, index) => {
      text.set(row, index * width);
    });
    const resample = this.matrices.get(windowPx, imageSizePx, interpolation);
    const result = new Float32Array(tops.length * embeddings.length);
    for (let start = 0; start < tops.length; start += this.windowsPerCall) {
      await steps.pause();
      const end = Math.min(start + this.windowsPerCall, tops.length);
      const chunk = tops.slice(start, end);
      // The rows that these windows touch: work and memory of a call are then free of the picture's height.
      const first = Math.min(...chunk);
      const last = Math.max(...chunk) + windowPx;
      const row = 3 * picture.width;
      const { values } = await this.session.run(
        {
          image: ["uint8", picture.rgb.subarray(first * row, last * row), [last - first, picture.width, 3]],
          top: ["int64", BigInt64Array.from(chunk, (top) => BigInt(top - first)), [chunk.length]],
          left: ["int64", BigInt64Array.from(lefts.slice(start, end), BigInt), [chunk.length]],
          resample: ["float32", resample, [imageSizePx, windowPx]],
          text: ["float32", text, [embeddings.length, width]],
        },
        "similarity",
      );
      result.set(finite(values, "similarity"), start * embeddings.length);
      steps.progress(end, tops.length);
    }
    return result;
  }
}
