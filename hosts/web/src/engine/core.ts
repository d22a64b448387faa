/** CORE: a picture and its description -> mean opinion score of realness. */

import { RealmError } from "./errors";
import type { CoreSpec } from "./manifest";
import { ResampleCache } from "./resample";
import type { Session } from "./runtime";
import { isMissing, type TextEncoder } from "./text";

/** RGB, uint8, height x width x 3. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly rgb: Uint8Array;
}

export interface Score {
  /** z-score, higher = more real. */
  readonly mos: number;
  /** 0-100. */
  readonly realness: number;
}

export class Core {
  private readonly matrices = new ResampleCache();

  constructor(
    readonly spec: CoreSpec,
    private readonly text: TextEncoder,
    private readonly session: Session,
  ) {}

  /** Score one picture; a blank text means that there is no description. Throws RealmError "device". */
  async score(picture: Picture, text: string): Promise<Score> {
    const { heightPx, widthPx, interpolation } = this.spec;
    const missing = isMissing(text);
    const [features] = await this.text.features([missing ? "" : text]);
    const width = features!.length;
    const { values } = await this.session.run(
      {
        pixels: ["uint8", picture.rgb, [1, picture.height, picture.width, 3]],
        resample_rows: [
          "float32",
          this.matrices.get(picture.height, heightPx, interpolation),
          [heightPx, picture.height],
        ],
        resample_cols: [
          "float32",
          this.matrices.get(picture.width, widthPx, interpolation),
          [widthPx, picture.width],
        ],
        // Where there is no text the graph puts its own features in their place: any finite values will do.
        text_features: ["float32", missing ? new Float32Array(width) : features!, [1, width]],
        has_text: ["float32", Float32Array.of(missing ? 0 : 1), [1]],
      },
      "mos",
    );
    const mos = values[0]!;
    if (!Number.isFinite(mos)) throw new RealmError("device", "the model's answer is not a number");
    return { mos, realness: this.rating(mos) };
  }

  /** The 0-100 rating behind a MOS, clipped to that range. */
  rating(mos: number): number {
    return Math.min(100, Math.max(0, this.spec.ratingOffset + this.spec.ratingSlope * mos));
  }
}
