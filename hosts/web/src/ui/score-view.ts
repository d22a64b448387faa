/** The score as numbers, as a place on a scale, and in words. */

import type { Score } from "../engine/core";
import { box } from "./dom";

/** Words for a realness of 0-100. */
export function scoreWords(realness: number): string {
  if (realness < 20) return "Looks clearly unreal";
  if (realness < 40) return "Looks rather unreal";
  if (realness < 60) return "Neither real nor unreal";
  if (realness < 80) return "Looks rather real";
  return "Looks like a photograph";
}

export function showScore(score: Score | null, text: string): void {
  box("score").hidden = score === null;
  box("score-empty").hidden = score !== null;
  if (score === null) return;
  box("realness").textContent = score.realness.toFixed(1);
  box("score-words").textContent = scoreWords(score.realness);
  const mos = box("mos");
  mos.textContent = score.mos.toFixed(3);
  mos.dataset.mos = String(score.mos);
  mos.dataset.realness = String(score.realness);
  box("meter-mark").style.insetInlineStart = `${score.realness}%`;
  box("score-text").textContent =
    text === "" ? "Read from the picture alone." : `Read with the text “${text}”.`;
}
