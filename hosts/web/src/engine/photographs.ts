/** The scale of a map, that of realm_engine/maps/photographs.py: what untouched photographs give for its texts. */

import type { Limits } from "./colours";
import type { MapConfig } from "./dream";
import { RealmError } from "./errors";
import { LEAST_STD, MOST_COSINE } from "./limits";
import type { EncoderName, PhotographsSpec, Preset, StandsOut } from "./manifest";
import { percentile } from "./phrases";
import { finite, type Session } from "./runtime";
import type { SpreadMap } from "./windows";

// Of the threshold: where colours begin on a map that stands out, and what the strongest stands for at least.
const REAL_END = 0.5;
const UNREAL_END = 1.25;
// What a twentieth of a map exceeds: the highest z alone follows one window.
const HIGH_PERCENTILE = 95;

/** Similarity of texts to windows of untouched photographs: means over the texts and the window sizes of a map. */
export interface Scale {
  readonly mean: number;
  readonly std: number;
}

/** Where a map lies among those of photographs. */
export interface Photographs extends Scale {
  /** How many standard deviations its least real pixel is less real than photographs. */
  readonly zMax: number;
  /** The same of the pixel that a twentieth of the others exceed. */
  readonly zHigh: number;
  /** The z-score that few photographs reach; null where that was not measured for how the map was made. */
  readonly threshold: number | null;
  /** Null where there is no threshold. */
  readonly standsOut: boolean | null;
}

/** The graph `photographs` of a bundle. */
export class PhotographGraph {
  constructor(
    private readonly spec: PhotographsSpec,
    private readonly session: Session,
  ) {}

  /** The scale of texts, embeddings (D); null where windows of one of these sizes, or of this encoder, are not known. */
  async scale(
    embeddings: readonly Float32Array[],
    windowsPx: readonly number[],
    encoder: EncoderName,
  ): Promise<Scale | null> {
    const sizes = this.spec.windowsPx;
    const columns = windowsPx.map((size) => sizes.indexOf(size));
    if (encoder !== this.spec.encoder || columns.includes(-1)) return null;
    const width = embeddings[0]!.length;
    const text = new Float32Array(embeddings.length * width);
    for (const [row, embedding] of embeddings.entries()) text.set(embedding, row * width);
    const feeds = { text: ["float32", text, [embeddings.length, width]] } as const;
    const answers = await this.session.runAll(feeds, ["mean", "std"]);
    const average = (values: Float32Array) => {
      let sum = 0;
      for (let row = 0; row < embeddings.length; row++) {
        for (const column of columns) sum += values[row * sizes.length + column]!;
      }
      return sum / (embeddings.length * columns.length);
    };
    const [means, stds] = [finite(answers[0]!.values, "mean"), finite(answers[1]!.values, "std")];
    if (!means.every((value) => Math.abs(value) <= MOST_COSINE)) {
      throw new RealmError("bundle", "graph 'photographs': a mean is no cosine; export the bundle again");
    }
    if (!stds.every((value) => value >= LEAST_STD && value <= MOST_COSINE)) {
      throw new RealmError(
        "bundle",
        "graph 'photographs': a standard deviation is not above 0, or none of cosines; export the bundle again",
      );
    }
    return { mean: average(means), std: average(stds) };
  }
}

/** What is known of maps that are made exactly as a preset says; nothing of others. */
export function standsOutOf(presets: readonly Preset[], config: MapConfig, encoder: EncoderName): StandsOut {
  const preset = presets.find(
    (one) =>
      one.windowsPx.length === config.windowsPx.length &&
      one.windowsPx.every((size, at) => size === config.windowsPx[at]) &&
      one.stridePx === config.stridePx &&
      one.aggregate === config.aggregate &&
      one.encoder === encoder,
  );
  return preset?.standsOut ?? { text: null, phrases: null };
}

/** Where a map of realness lies on a scale. */
export function among(scale: Scale, { values, covered }: SpreadMap, threshold: number | null): Photographs {
  const used = Float64Array.from(values.filter((_, at) => covered[at] !== 0));
  const z = used.map((realness) => Math.fround((1 - realness - scale.mean) / scale.std));
  const [zHigh, zMax] = [percentile(z, HIGH_PERCENTILE / 100), percentile(z, 1)];
  return { ...scale, zMax, zHigh, threshold, standsOut: threshold === null ? null : zHigh > threshold };
}

/** Realness at the ends of the colours; null where it is not known whether anything stands out. */
export function knownLimits(known: Photographs | null): Limits | null {
  if (known === null || known.threshold === null) return null;
  const { mean, std, threshold, zMax, standsOut } = known;
  // Where nothing stands out the picture shows untouched: all of the map lies at the real end or below.
  const begin = standsOut ? REAL_END * threshold : Math.max(zMax, threshold);
  const end = standsOut ? Math.max(zMax, UNREAL_END * threshold) : UNREAL_END * begin;
  return [1 - (mean + std * end), 1 - (mean + std * begin)];
}
