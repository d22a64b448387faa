/** The measures of the picture: CORE's rating as a number, a place on a scale and words, any other in a table. */

import type { Measured } from "../engine/measure";
import type { ColumnSpec, MeasureSpec } from "../engine/measure-specs";
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
  if (rated) showRating(mos, realness);
  box("score-text").textContent =
    text === "" ? "Read from the picture alone." : `Read with the text “${text}”.`;
  const rows = measured.slice(rated ? 1 : 0).flatMap(({ values }, index) => {
    const spec = specs[index + (rated ? 1 : 0)]!;
    return spec.columns.map((column, at) => rowOf(column, values[at]!, spec.says));
  });
  box("measures").hidden = rows.length === 0;
  box("measure-rows").replaceChildren(...rows);
}

function showRating(mos: number, realness: number): void {
  box("realness").textContent = realness.toFixed(1);
  box("score-words").textContent = scoreWords(realness);
  const line = box("mos");
  line.textContent = mos.toFixed(3);
  line.dataset.mos = String(mos);
  line.dataset.realness = String(realness);
  box("meter-mark").style.insetInlineStart = `${realness}%`;
}

function rowOf(column: ColumnSpec, value: number | null, says: string): HTMLElement {
  const row = document.createElement("tr");
  row.title = says;
  const name = document.createElement("th");
  name.scope = "row";
  name.textContent = column.name;
  const number = document.createElement("td");
  number.textContent = value === null ? "–" : value.toFixed(Math.min(column.decimals, 4));
  number.dataset.column = column.name;
  number.dataset.value = value === null ? "" : String(value);
  const meaning = document.createElement("td");
  const better = column.better === "high" ? "higher" : "lower";
  meaning.textContent = `${column.meaning}; ${column.low} to ${column.high}, ${better} = better`;
  row.append(name, number, meaning);
  return row;
}
