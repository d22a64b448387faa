/** A graph that looks at a whole picture, resized or as it is, and what it answers. */

import type { ViewSpec } from "./measure-specs";
import { ResampleCache } from "./resample";
import type { Answer, Feed, Session } from "./runtime";

/** RGB, uint8, height x width x 3. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly rgb: Uint8Array;
}

export class Looker {
  private readonly matrices = new ResampleCache();

  /**
   * `matrixRank`: of the resize matrices that the graph takes. `textWidth`: of the features that it takes as
   * `text_features`; null where it takes none.
   */
  constructor(
    private readonly view: ViewSpec,
    private readonly session: Session,
    private readonly matrixRank: number,
    private readonly textWidth: number | null,
  ) {}

  /** Outputs for one picture. `features`: of its text; null where there is none, or nobody asks for what it changes. */
  look(picture: Picture, features: Float32Array | null, outputs: readonly string[]): Promise<Answer[]> {
    const { width, height, rgb } = picture;
    const feeds: Record<string, Feed> = { pixels: ["uint8", rgb, [1, height, width, 3]] };
    if (this.view.kind === "whole") {
      const { heightPx, widthPx, interpolation } = this.view;
      const [rows, cols] = [
        this.matrices.get(height, heightPx, interpolation),
        this.matrices.get(width, widthPx, interpolation),
      ];
      // From format 1.3 on a graph takes matrices for all pictures, [1, 1, out, in], or for each.
      const before = this.matrixRank === 4 ? [1, 1] : [];
      feeds.resample_rows = ["float32", rows, [...before, heightPx, height]];
      feeds.resample_cols = ["float32", cols, [...before, widthPx, width]];
    }
    if (this.textWidth !== null) {
      // Where there is no text the graph puts its own features in their place: any finite values will do.
      const row = features ?? new Float32Array(this.textWidth);
      feeds.text_features = ["float32", row, [1, row.length]];
      feeds.has_text = ["float32", Float32Array.of(features === null ? 0 : 1), [1]];
    }
    return this.session.runAll(feeds, outputs);
  }
}
