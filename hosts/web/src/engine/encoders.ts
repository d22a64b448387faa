/**
 * How windows of a picture become cosines with texts: each by itself, or all of one pass over the picture
 * (realm_engine/maps/encoders.py).
 */

import type { Picture } from "./looker";
import type { DreamSpec, PassSpec } from "./manifest";
import { ResampleCache } from "./resample";
import { cosines, type Feed, type Session } from "./runtime";
import { boxShares, type WindowGrid } from "./windows";

// As in the Python engine: small windows leave a core idle between operators. Bounds the memory of a call, too:
// 64 windows of 64 px or 32 of 224 px are below 20 MB of input and some 200 MB of activations.
const WINDOWS_PER_CALL = 32;
const SMALL_WINDOW_PX = 112;
// Windows of one pass in a call take 12 kB each. Half of what the Python engine takes: who stops a map waits for a call.
const MOST_POOLED = 8192;

export interface Steps {
  /** Called with the number of windows that are done, and how many there are in all. */
  progress(done: number, total: number): void;
  /** Awaited between calls; throws to give up. */
  pause(): Promise<void>;
  /** Told how many seconds one pass took, and how many the windows that were pooled from it. */
  spent?(on: "pass" | "pooling", seconds: number): void;
}

/** The same for a part of the work, whose windows count from `before`, of `total`. */
export function partOf(steps: Steps, before: number, total: number): Steps {
  return {
    progress: (done) => steps.progress(before + done, total),
    pause: () => steps.pause(),
    spent: (on, seconds) => steps.spent?.(on, seconds),
  };
}

export interface WindowEncoder {
  /** Cosine of every window with every text embedding, float32 (windows, texts), windows row by row. */
  similarities(
    picture: Picture,
    grid: WindowGrid,
    embeddings: readonly Float32Array[],
    steps: Steps,
  ): Promise<Float32Array>;
}

/** Opens a graph, or gives the one that is open. */
type Opening = () => Promise<Session>;

/** Embeddings one below the other. */
function textFeed(embeddings: readonly Float32Array[]): Feed {
  const width = embeddings[0]!.length;
  const text = new Float32Array(embeddings.length * width);
  embeddings.forEach((row, index) => {
    text.set(row, index * width);
  });
  return ["float32", text, [embeddings.length, width]];
}

/** Every window is resized and goes through the tower, some in a call. */
export class EachWindow implements WindowEncoder {
  private readonly matrices = new ResampleCache();
  private readonly windowsPerCall: number;

  constructor(
    private readonly spec: DreamSpec,
    private readonly session: Opening,
  ) {
    this.windowsPerCall = (spec.imageSizePx <= SMALL_WINDOW_PX ? 2 : 1) * WINDOWS_PER_CALL;
  }

  /** See `WindowEncoder.similarities`. */
  similarities(
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
    const session = await this.session();
    const text = textFeed(embeddings);
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
      const { values } = await session.run(
        {
          image: ["uint8", picture.rgb.subarray(first * row, last * row), [last - first, picture.width, 3]],
          top: ["int64", BigInt64Array.from(chunk, (top) => BigInt(top - first)), [chunk.length]],
          left: ["int64", BigInt64Array.from(lefts.slice(start, end), BigInt), [chunk.length]],
          resample: ["float32", resample, [imageSizePx, windowPx]],
          text,
        },
        "similarity",
      );
      result.set(cosines(values, "similarity"), start * embeddings.length);
      steps.progress(end, tops.length);
    }
    return result;
  }
}

/** What a trunk gave for a picture, by name. */
type Stages = Record<string, Feed>;

/** The trunk runs once over the picture, and windows are pooled from its stages. */
export class OnePass implements WindowEncoder {
  /** Kept for as long as somebody holds the picture: the next text, size or phrase needs no other pass. */
  private readonly passes = new WeakMap<Picture, Stages>();

  /** `stages`: what the trunk gives, by name. */
  constructor(
    private readonly spec: PassSpec,
    private readonly trunk: Opening,
    private readonly windows: Opening,
    private readonly stages: readonly string[],
  ) {}

  /** See `WindowEncoder.similarities`. */
  async similarities(
    picture: Picture,
    grid: WindowGrid,
    embeddings: readonly Float32Array[],
    steps: Steps,
  ): Promise<Float32Array> {
    const stages = await this.pass(picture, steps);
    const session = await this.windows();
    const text = textFeed(embeddings);
    const across = this.shares(grid.cols, picture.width, grid);
    const down = this.shares(grid.rows, picture.height, grid);
    const result = new Float32Array(grid.count * embeddings.length);
    const rowsPerCall = Math.max(1, Math.floor(MOST_POOLED / grid.cols));
    for (let start = 0; start < grid.rows; start += rowsPerCall) {
      await steps.pause();
      const began = performance.now();
      const end = Math.min(start + rowsPerCall, grid.rows);
      const feeds: Record<string, Feed> = { ...stages, text };
      for (const { cellPx, cells, values } of across) {
        feeds[`across_${cellPx}`] = ["float32", values, [grid.cols, cells]];
      }
      for (const { cellPx, cells, values } of down) {
        const rows = values.subarray(start * cells, end * cells);
        feeds[`down_${cellPx}`] = ["float32", rows, [end - start, cells]];
      }
      const { values } = await session.run(feeds, "similarity");
      result.set(cosines(values, "similarity"), start * grid.cols * embeddings.length);
      steps.spent?.("pooling", (performance.now() - began) / 1000);
      steps.progress(end * grid.cols, grid.count);
    }
    return result;
  }

  /** The stages of a picture. */
  private async pass(picture: Picture, steps: Steps): Promise<Stages> {
    const known = this.passes.get(picture);
    if (known !== undefined) return known;
    const trunk = await this.trunk();
    await steps.pause();
    const began = performance.now();
    const { width, height, rgb } = picture;
    const answers = await trunk.runAll({ image: ["uint8", rgb, [height, width, 3]] }, this.stages);
    const stages: Stages = {};
    this.stages.forEach((name, index) => {
      const { values, dims } = answers[index]!;
      stages[name] = ["float32", values, dims];
    });
    this.passes.set(picture, stages);
    steps.spent?.("pass", (performance.now() - began) / 1000);
    return stages;
  }

  /** For each size of cells: the shares of so many windows along an axis of so many pixels. */
  private shares(windows: number, lengthPx: number, { windowPx, stridePx }: WindowGrid) {
    const { cellsPx, coarsestPx } = this.spec;
    const filledPx = Math.ceil(lengthPx / coarsestPx) * coarsestPx;
    return cellsPx.map((cellPx) => {
      const cells = filledPx / cellPx;
      return { cellPx, cells, values: boxShares(windows, stridePx, windowPx, cells, cellPx) };
    });
  }
}
