/** The phrase bank: which flaw a picture most likely has, when nobody has described it (realm_engine/maps/phrases.py). */

import { type Dream, gridsOf, type MapConfig } from "./dream";
import type { Steps } from "./encoders";
import { RealmError } from "./errors";
import { LEAST_STD, MOST_COSINE, MOST_PHRASE_CHARACTERS, MOST_PHRASES } from "./limits";
import type { Picture } from "./looker";
import type { PhrasePolicy } from "./manifest";

/** A phrase with the mean and standard deviation of its window similarity on clean photographs. */
export interface BankEntry {
  readonly text: string;
  readonly kind: string;
  readonly mean: number;
  readonly std: number;
}

export interface Phrase {
  readonly text: string;
  readonly kind: string;
  readonly zScore: number;
}

/** Check a phrase bank. Throws RealmError "bundle" for a file that is none. */
export function parseBank(json: unknown, where: string): BankEntry[] {
  const list = (json as { phrases?: unknown } | null)?.phrases;
  const entries = Array.isArray(list) ? (list as Partial<Record<keyof BankEntry, unknown>>[]) : [];
  const sound = entries.every(
    (entry) =>
      typeof entry?.text === "string" &&
      [...entry.text].length <= MOST_PHRASE_CHARACTERS &&
      typeof entry.mean === "number" &&
      typeof entry.std === "number" &&
      Math.abs(entry.mean) <= MOST_COSINE &&
      entry.std >= LEAST_STD &&
      entry.std <= MOST_COSINE,
  );
  if (!sound || entries.length === 0 || entries.length > MOST_PHRASES) {
    throw new RealmError(
      "bundle",
      `${where}: a phrase bank needs 1 to ${MOST_PHRASES} phrases of at most ${MOST_PHRASE_CHARACTERS} characters, with mean and std > 0 of cosines; export the bundle again`,
    );
  }
  return entries.map(({ text, kind, mean, std }) => ({
    text: String(text),
    kind: String(kind ?? ""),
    mean: Number(mean),
    std: Number(std),
  }));
}

/** The value below which a share of the values lies, between neighbours linearly, as numpy.percentile. */
export function percentile(values: Float64Array, share: number): number {
  const sorted = values.slice().sort();
  const at = share * (sorted.length - 1);
  const below = Math.floor(at);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below]! + (at - below) * (sorted[above]! - sorted[below]!);
}

/** The windows that phrases are compared with: half a window apart. `windowPx`: the largest window in use. */
export function phraseConfig(windowPx: number): MapConfig {
  return { windowsPx: [windowPx], stridePx: Math.max(1, Math.floor(windowPx / 2)), aggregate: "mean" };
}

/** The phrases that stand out most on a picture, best first, as many as the policy allows. `windowPx` as for `phraseConfig`. */
export async function pickPhrases(
  dream: Dream,
  bank: readonly BankEntry[],
  policy: PhrasePolicy,
  picture: Picture,
  windowPx: number,
  steps: Steps,
): Promise<Phrase[]> {
  const grid = gridsOf(phraseConfig(windowPx), picture.height, picture.width)[0]!;
  const embeddings = await dream.embed(bank.map((entry) => entry.text));
  const similarity = await dream.encoder.similarities(picture, grid, embeddings, steps);
  const scores = bank.map((entry, column) => {
    const values = new Float64Array(grid.count);
    for (let window = 0; window < grid.count; window++) {
      values[window] = (similarity[window * bank.length + column]! - entry.mean) / entry.std;
    }
    return percentile(values, policy.percentile / 100);
  });
  const order = scores.map((_, index) => index).sort((a, b) => scores[b]! - scores[a]! || a - b);
  const best = scores[order[0]!]!;
  return order
    .slice(0, policy.most)
    .filter((index) => scores[index]! >= best - policy.marginZ)
    .map((index) => ({ text: bank[index]!.text, kind: bank[index]!.kind, zScore: scores[index]! }));
}
