/** The measures of the picture: CORE's rating as a number and its place among others, any other in a table. */

import type { ColumnSpec } from "../engine/column-specs";
import type { Measured } from "../engine/measure";
import type { MeasureSpec } from "../engine/measure-specs";
import { box } from "./dom";
import { verdictOf } from "./verdict";

// Percent of photographs, and of generated pictures, that score lower.
const PLACES = ["percentile_photographs", "percentile_generated"] as const;

/** The value of a column of a measure, null where it has no such column or no number. */
function columnValue(
  spec: MeasureSpec | undefined,
  measured: Measured | undefined,
  name: string,
): number | null {
  const at = spec?.columns.findIndex((column) => column.name === name) ?? -1;
  return measured?.values[at] ?? null;
}

/** Show nothing: there is no picture, or what there was is no more. */
export function clearMeasures(): void {
  box("score").hidden = true;
  box("score-empty").hidden = false;
}

/** Show what was measured, rows per measure in the order of `specs`. Returns what a listener is told of it. */
export function showMeasures(
  specs: readonly MeasureSpec[],
  measured: readonly Measured[],
  text: string,
): string {
  box("score").hidden = false;
  box("score-empty").hidden = true;
  const mos = columnValue(specs[0], measured[0], "mos");
  const realness = columnValue(specs[0], measured[0], "realness");
  const rated = mos !== null && realness !== null;
  box("rating").hidden = !rated;
  const rating = rated ? showRating(mos, realness, specs[0]!, measured[0]!) : null;
  const shownAbove = rating?.columns ?? [];
  const reasons = warnings(specs, measured);
  box("score-warning").hidden = reasons.length === 0;
  box("score-warning").textContent = reasons.join(" ");
  box("score-text").textContent =
    text === "" ? "Read from the picture alone." : `Read with the text “${text}”.`;
  const groups = measured.flatMap(({ values, words }, index) => {
    const spec = specs[index]!;
    const above = index === 0 ? shownAbove : [];
    const rows = spec.columns.flatMap((column, at) =>
      column.bound === null && !above.includes(column.name)
        ? [
            column.words.length > 0
              ? wordRow(column, words[at]!)
              : numberRow(column, values[at]!, ends(spec, values, column.name)),
          ]
        : [],
    );
    return rows.length === 0 ? [] : [groupOf(spec, rows)];
  });
  const table = box("measures");
  table.hidden = groups.length === 0;
  for (const old of table.querySelectorAll("tbody")) old.remove();
  table.append(...groups);
  return [...(rating === null ? [] : [rating.said]), ...reasons].join(" ");
}

/** The rows of a measure under what it says of itself. */
function groupOf({ name, says }: MeasureSpec, rows: readonly HTMLElement[]): HTMLElement {
  const group = document.createElement("tbody");
  group.dataset.measure = name;
  const title = document.createElement("tr");
  title.className = "measure";
  const heading = document.createElement("th");
  heading.scope = "rowgroup";
  heading.colSpan = 2;
  const strong = document.createElement("strong");
  strong.textContent = name;
  heading.append(strong, ` ${says}`);
  title.append(heading);
  group.append(title, ...rows);
  return group;
}

/** Why not to trust the numbers of this picture, a sentence each. */
export function warnings(specs: readonly MeasureSpec[], measured: readonly Measured[]): string[] {
  return measured.flatMap(({ values }, index) =>
    specs[index]!.columns.flatMap((column, at) => {
      const value = values[at] ?? null;
      if (column.flagAbove === null || value === null || value <= column.flagAbove) return [];
      const [shown, limit] = [value, column.flagAbove].map((each) => Number(each.toPrecision(2)));
      return [`Distrust these numbers: ${column.name} is ${shown}, above ${limit} (${column.meaning}).`];
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

/** Show number, interval and place among others. Returns which columns that are, and the same as a sentence. */
function showRating(
  mos: number,
  realness: number,
  spec: MeasureSpec,
  measured: Measured,
): { said: string; columns: readonly string[] } {
  const own = spec.columns.find((column) => column.name === "realness")!;
  const interval = ends(spec, measured.values, own.name);
  const decimals = supported(own, 1);
  const shown = realness.toFixed(decimals);
  box("realness").textContent = shown;
  // Of a picture that is unlike all that the model knows, its place among others means nothing.
  const distrusted = warnings([spec], [measured]).length > 0;
  const verdict = distrusted
    ? null
    : verdictOf(columnValue(spec, measured, PLACES[0]), columnValue(spec, measured, PLACES[1]));
  for (const [id, text] of [
    ["score-words", verdict?.words],
    ["score-places", verdict?.detail],
  ] as const) {
    box(id).textContent = text ?? "";
    box(id).hidden = text === undefined;
  }
  box("sure").hidden = interval === null;
  box("meter-band").hidden = interval === null;
  if (interval !== null && own.interval !== null) {
    const [low, high] = interval.map((end) => end.toFixed(decimals));
    const share = Math.round(100 * own.interval.share);
    box("sure").textContent = `People rated ${share} of 100 such pictures between ${low} and ${high}.`;
    box("meter-band").style.insetInlineStart = `${interval[0]}%`;
    box("meter-band").style.width = `${interval[1] - interval[0]}%`;
  }
  const line = box("mos");
  line.textContent = mos.toFixed(interval === null ? 3 : 1);
  line.dataset.mos = String(mos);
  line.dataset.realness = String(realness);
  box("meter-mark").style.insetInlineStart = `${realness}%`;
  return {
    said: `Realness ${shown} of 100. ${verdict === null ? "" : `${verdict.words}.`}`.trim(),
    columns: ["mos", "realness", ...(verdict === null ? [] : PLACES)],
  };
}

function numberRow(column: ColumnSpec, value: number | null, interval: Ends | null): HTMLElement {
  const shown = (each: number) => each.toFixed(supported(column, 4));
  const sure = interval === null ? "" : ` (${interval.map(shown).join(" to ")})`;
  const better = column.better === "high" ? "higher" : "lower";
  return rowOf(
    column,
    { shown: value === null ? null : shown(value) + sure, data: value },
    `${column.low} to ${column.high}, ${better} = better`,
  );
}

function wordRow(column: ColumnSpec, word: string | null): HTMLElement {
  return rowOf(column, { shown: word, data: word }, column.words.join(", "));
}

/** A row: what is shown of an answer and kept in the page, null where there is none; what answers can be. */
function rowOf(
  column: ColumnSpec,
  answer: { shown: string | null; data: number | string | null },
  span: string,
): HTMLElement {
  const row = document.createElement("tr");
  const head = document.createElement("th");
  head.scope = "row";
  const name = document.createElement("span");
  name.className = "name";
  name.textContent = column.name;
  const meaning = document.createElement("span");
  meaning.className = "meaning quiet";
  meaning.textContent = `${column.meaning}; ${span}`;
  head.append(name, " ", meaning);
  const cell = document.createElement("td");
  cell.textContent = answer.shown ?? "–";
  cell.dataset.column = column.name;
  cell.dataset.value = String(answer.data ?? "");
  row.append(head, cell);
  return row;
}
