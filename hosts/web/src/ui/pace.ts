/** How long a map will take here, from how long the last ones took. */

import { ENCODER_NAMES, type EncoderName } from "../engine/manifest";
import type { TimedMap } from "../worker/protocol";

// What takes less says more about the browser than about the models.
const LEAST_SECONDS = 0.2;

/** Windows that a map encodes. */
export interface Load {
  readonly encoder: EncoderName;
  readonly windows: number;
}

interface Size {
  readonly width: number;
  readonly height: number;
}

export class Pace {
  private readonly windowsPerSecond = new Map<EncoderName, number>();
  private passedPixelsPerSecond: number | null = null;
  /** Whether the models have passed over the present picture; what they found is kept with it. */
  private passed = false;

  /** Another picture is there. */
  newPicture(): void {
    this.passed = false;
  }

  /** Remember how fast a map was. What is no part of one pass counts for the windows that were encoded one by one. */
  learn(loads: readonly Load[], { width, height, seconds, spent }: TimedMap): void {
    this.passed ||= loads.some(({ encoder }) => encoder === "one-pass");
    if (seconds <= LEAST_SECONDS) return;
    if (spent.pass > 0) this.passedPixelsPerSecond = (width * height) / spent.pass;
    const took = { "one-pass": spent.pooling, "each-window": seconds - spent.pass - spent.pooling };
    for (const encoder of ENCODER_NAMES) {
      const mine = loads.filter((load) => load.encoder === encoder);
      const windows = mine.reduce((sum, load) => sum + load.windows, 0);
      if (windows > 0) this.windowsPerSecond.set(encoder, windows / took[encoder]);
    }
  }

  /** Seconds that a map will take, null where nothing is known yet of a part of it. */
  estimate(loads: readonly Load[], { width, height }: Size): number | null {
    let seconds = 0;
    for (const { encoder, windows } of loads) {
      const rate = this.windowsPerSecond.get(encoder);
      if (rate === undefined) return null;
      seconds += windows / rate;
    }
    if (this.passed || loads.every(({ encoder }) => encoder !== "one-pass")) return seconds;
    return this.passedPixelsPerSecond === null
      ? null
      : seconds + (width * height) / this.passedPixelsPerSecond;
  }
}
