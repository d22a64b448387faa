/** DREAM: a picture and texts -> a map of how real every pixel looks, by one of the encoders of the bundle. */

import { partOf, type Steps, type WindowEncoder } from "./encoders";
import { RealmError } from "./errors";
import type { Picture } from "./looker";
import { type Aggregate, type DreamSpec, ENCODER_NAMES, type EncoderName } from "./manifest";
import type { PhotographGraph, Scale } from "./photographs";
import type { TextEncoder } from "./text";
import { type SpreadMap, spreadScales, WindowGrid } from "./windows";

/** What encodes the windows of every map; "auto": what its configuration says, which a preset does. */
export type EncoderChoice = "auto" | EncoderName;

export interface MapConfig {
  readonly windowsPx: readonly number[];
  readonly stridePx: number;
  readonly aggregate: Aggregate;
  /** What encodes the windows; without it what the recommended preset has. */
  readonly encoder?: EncoderName;
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

/** Throws RealmError "usage" for a word that is no choice, as a caller without types may give. */
function checkEncoder(name: string, choices: readonly string[]): void {
  if (!choices.includes(name)) {
    throw new RealmError("usage", `encoder is '${name}'; choose one of ${choices.join(", ")}`);
  }
}

/** The encoder that was asked for, null for "auto". Throws RealmError "usage" where maps cannot be made by it. */
export function askedEncoder(
  choice: EncoderChoice,
  { encoders }: DreamSpec,
  bundle: string,
): EncoderName | null {
  checkEncoder(choice, ["auto", ...ENCODER_NAMES]);
  if (choice === "auto") return null;
  if (!encoders.includes(choice)) {
    const has = encoders.join(", ");
    throw new RealmError("usage", `${bundle}: its maps cannot be made by ${choice}, only by ${has}`);
  }
  return choice;
}

export class Dream {
  /**
   * `encoders`: those of the specification. `asked`: the one for every map, whatever its configuration says.
   * `photographs`: what knows untouched photographs, null where the bundle does not.
   */
  constructor(
    readonly spec: DreamSpec,
    private readonly text: TextEncoder,
    private readonly encoders: ReadonlyMap<EncoderName, WindowEncoder>,
    private readonly asked: EncoderName | null,
    private readonly photographs: PhotographGraph | null = null,
  ) {}

  /** What encodes windows where nothing else is said, those that phrases are chosen by among them. */
  get encoderName(): EncoderName {
    return this.asked ?? this.spec.encoders[0]!;
  }

  /** The encoder of that name. */
  get encoder(): WindowEncoder {
    return this.encoders.get(this.encoderName)!;
  }

  /** What encodes the windows of a configuration. Throws RealmError "usage" where it is not there. */
  encoderOf({ encoder }: MapConfig): EncoderName {
    const name = this.asked ?? encoder ?? this.encoderName;
    checkEncoder(name, ENCODER_NAMES);
    if (!this.encoders.has(name)) {
      const has = [...this.encoders.keys()].join(", ");
      throw new RealmError("usage", `encoder ${name}: this bundle has ${has} alone`);
    }
    return name;
  }

  /** Embeddings of texts, each float32 (D), L2-normalised. */
  embed(texts: readonly string[]): Promise<Float32Array[]> {
    return this.text.features(texts);
  }

  /**
   * Realness (1 - cosine, low = unreal) of every pixel; several texts count by the mean of their similarities.
   * `scale`: what untouched photographs give for the texts, null where that is not known.
   */
  async map(
    picture: Picture,
    texts: readonly string[],
    config: MapConfig,
    steps: Steps,
  ): Promise<SpreadMap & { readonly scale: Scale | null }> {
    const grids = gridsOf(config, picture.height, picture.width);
    const name = this.encoderOf(config);
    const encoder = this.encoders.get(name)!;
    if (texts.length === 0) throw new RealmError("usage", "a map needs at least one text");
    const embeddings = await this.embed(texts);
    const total = grids.reduce((sum, grid) => sum + grid.count, 0);
    let before = 0;
    const realness: Float64Array[] = [];
    for (const grid of grids) {
      const part = partOf(steps, before, total);
      const similarity = await encoder.similarities(picture, grid, embeddings, part);
      before += grid.count;
      const values = new Float64Array(grid.count);
      for (let window = 0; window < grid.count; window++) {
        let sum = 0;
        for (let text = 0; text < texts.length; text++) sum += similarity[window * texts.length + text]!;
        values[window] = 1 - sum / texts.length;
      }
      realness.push(values);
    }
    const scale = (await this.photographs?.scale(embeddings, config.windowsPx, name)) ?? null;
    return { ...spreadScales(realness, grids, config.aggregate), scale };
  }
}
