/** What may be said of a score in words: no more than its calibration says. */

// Of 100 pictures of a kind so few are called "nearly none".
const FEW = 5;

export interface Verdict {
  readonly words: string;
  /** The numbers behind them. */
  readonly detail: string;
}

/**
 * Where a score lies among those of photographs and of generated pictures, by the percent of either that score lower.
 * Null where a bundle does not say: a number by itself supports no words.
 */
export function verdictOf(photographs: number | null, generated: number | null): Verdict | null {
  if (photographs === null || generated === null) return null;
  const below = photographs <= FEW;
  const above = generated >= 100 - FEW;
  const words =
    below && above
      ? "Scores lower than nearly all photographs and higher than nearly all generated pictures"
      : below
        ? "Scores lower than nearly all photographs"
        : above
          ? "Scores higher than nearly all generated pictures"
          : "No verdict: photographs and generated pictures both score like this";
  const percent = (value: number) => `${value.toFixed(0)} %`;
  return {
    words,
    detail:
      `Of the photographs that the score is calibrated on ${percent(photographs)} score lower, ` +
      `of the generated pictures ${percent(generated)}.`,
  };
}
