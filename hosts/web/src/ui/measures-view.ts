/** The measures of the picture: CORE's rating as a number, a place on a scale and words, any other in a table. */

import type { ColumnSpec } from "../engine/column-specs";
import type { Measured } from "../engine/measure";
import type { MeasureSpec } from "../engine/measure-specs";
import { box } from "./dom";

/** Words for a realness of 0-100. */
export function scoreWords(realness: number): string {
  if (realness < 20) return "Looks clearly unreal";
  if (realness < 40) return "Looks rather unreal";
  if (realness < 60) return "Neither real nor unreal";
  if (realness < 80) return "Looks rather real";
  return "Looks like a photograph";
}

/** The value of a column of a measure, null where it has no such column or no number. */
function columnValue(
  spec: MeasureSpec | undefined,
  measured: Measured | undefined,
  name: string,
): number | null {
  const at = spec?.columns.findIndex((column) => column.name === name) ?? -1;
  return measured?.values[at] ?? null;
}

/** Show what was measured, a row per measure in the order of `specs`; nothing measured clears the card. */
export function showMeasures(
  specs: readonly MeasureSpec[],
  measured: readonly Measured[],
  text: string,
): void {
  const any = measured.length > 0;
  box("score").hidden = !any;
  box("score-empty").hidden = any;
  if (!any) return;
  const mos = columnValue(specs[0], measured[0], "mos");
  const realness = columnValue(specs[0], measured[0], "realness");
  const rated = mos !== null && realness !== null;
  box("rating").hidden = !rated;
  if (rated) showRating(mos, realness, specs[0]!, measured[0]!);
  const reasons = warnings(specs, measured);
  box("score-warning").hidden = reasons.length === 0;
  box("score-warning").textContent = reasons.join(" ");
  box("score-text").textContent =
    text === "" ? "Read from the picture alone." : `Read with the text “${text}”.`;
  const rows = measured.flatMap(({ values, words }, index) => {
    const spec = specs[index]!;
    const above = rated && index === 0 ? ["mos", "realness"] : [];
    return spec.columns.flatMap((column, at) =>
      column.bound === null && !above.includes(column.name)
        ? [
            column.words.length > 0
              ? wordRow(column, words[at]!, spec.says)
              : numberRow(column, values[at]!, spec.says, ends(spec, values, column.name)),
          ]
        : [],
    );
  });
  box("measures").hidden = rows.length === 0;
  box("measure-rows").replaceChildren(...rows);
}

/** Why not to trust the numbers of this picture, a sentence each. */
export function warnings(specs: readonly MeasureSpec[], measured: readonly Measured[]): string[] {
  return measured.flatMap(({ values }, index) =>
    specs[index]!.columns.flatMap((column, at) => {
      const value = values[at] ?? null;
      if (column.flagAbove === null || value === null || value <= column.flagAbove) return [];
      const shown = value.toFixed(Math.min(column.decimals, 1));
      return [
        `Distrust these numbers: ${column.name} is ${shown}, above ${column.flagAbove} (${column.meaning}).`,
      ];
    }),
  );
}

type Ends = readonly [low: number, high: number];

/** The ends of a column's interval, null where it has none. */
function ends(spec: MeasureSpec, values: Measured["values"], name: string): Ends | null {
  const at = (end: string) =>
    values[spec.columns.findIndex((column) => column.name === `${name}_${end}`)] ?? null;
  const [low, high] = [at("low"), at("high")];
  return low === null || high === null ? null : [low, high];
}

/** How many decimals a value with an interval supports: the first digit of the half width is the last. */
export function supported(column: ColumnSpec, otherwise: number): number {
  if (column.curve !== null) return 0;
  if (column.interval === null) return Math.min(column.decimals, otherwise);
  const { withText, imageOnly } = column.interval.halfWidth;
  const digits = Math.max(0, -Math.floor(Math.log10(Math.max(withText, imageOnly))));
  return Math.min(column.decimals, digits);
}

function showRating(mos: number, realness: number, spec: MeasureSpec, { values }: Measured): void {
  const own = spec.columns.find((column) => column.name === "realness")!;
  const interval = ends(spec, values, own.name);
  const decimals = supported(own, 1);
  box("realness").textContent = realness.toFixed(decimals);
  box("score-words").textContent = scoreWords(realness);
  box("sure").hidden = interval === null;
  if (interval !== null && own.interval !== null) {
    const [low, high] = interval.map((end) => end.toFixed(decimals));
    const share = Math.round(100 * own.interval.share);
    box("sure").textContent = `People rated ${share} of 100 such pictures between ${low} and ${high}.`;
  }
  const line = box("mos");
  line.textContent = mos.toFixed(interval === null ? 3 : 1);
  line.dataset.mos = String(mos);
  line.dataset.realness = String(realness);
  box("meter-mark").style.insetInlineStart = `${realness}%`;
}

function numberRow(
  column: ColumnSpec,
  value: number | null,
  says: string,
  interval: Ends | null,
): HTMLElement {
  const shown = (each: number) => each.toFixed(supported(column, 4));
  const sure = interval === null ? "" : ` (${interval.map(shown).join(" to ")})`;
  const better = column.better === "high" ? "higher" : "lower";
  return rowOf(
    column,
    says,
    { shown: value === null ? null : shown(value) + sure, data: value },
    `${column.low} to ${column.high}, ${better} = better`,
  );
}

function wordRow(column: ColumnSpec, word: string | null, says: string): HTMLElement {
  return rowOf(column, says, { shown: word, data: word }, column.words.join(", "));
}

/** A row: what is shown of an answer and kept in the page, null where there is none; what answers can be. */
function rowOf(
  column: ColumnSpec,
  says: string,
  answer: { shown: string | null; data: number | string | null },
  span: string,
): HTMLElement {
  const row = document.createElement("tr");
  row.title = says;
  const name = document.createElement("th");
  name.scope = "row";
  name.textContent = column.name;
  const cell = document.createElement("td");
  cell.textContent = answer.shown ?? "–";
  cell.dataset.column = column.name;
  cell.dataset.value = String(answer.data ?? "");
  const meaning = document.createElement("td");
  meaning.textContent = `${column.meaning}; ${span}`;
  row.append(name, cell, meaning);
  return row;
}
