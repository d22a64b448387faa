/** Measures of a picture: which graphs they share, and the values of their columns. */

import type { ColumnSpec, Curve } from "./column-specs";
import { RealmError } from "./errors";
import { MOST_RANGES } from "./limits";
import type { Looker, Picture } from "./looker";
import type { MeasureSpec } from "./measure-specs";
import type { Answer, Session } from "./runtime";

export interface Measured {
  readonly name: string;
  /** One per column of the measure; null where the model's answer is not a number, which `error` then says. */
  readonly values: readonly (number | null)[];
  /** One per column as well: the word that its value is the place of, null of numbers and where there is no answer. */
  readonly words: readonly (string | null)[];
  readonly error: string | null;
}

export interface Head {
  readonly session: Session;
  readonly input: string;
}

/** What measures of one bundle are computed with. */
export interface Parts {
  /** By `lookKey`. */
  readonly lookers: ReadonlyMap<string, Looker>;
  /** By the name of the graph. */
  readonly heads: ReadonlyMap<string, Head>;
  /** Features of a text for CORE. */
  features(text: string): Promise<Float32Array>;
  /** Awaited between graphs; throws to give up. */
  pause(): Promise<void>;
}

/** Measures with one key look through one graph in one way, and share its run. */
export function lookKey({ graph, view }: MeasureSpec): string {
  return JSON.stringify([graph, view]);
}

const outputsOf = (spec: MeasureSpec) => [...new Set(spec.columns.map((column) => column.output))];

/** The measures of a picture, in their order; a blank text means that there is no description. */
export async function measure(
  parts: Parts,
  specs: readonly MeasureSpec[],
  picture: Picture,
  text: string | null,
): Promise<Measured[]> {
  const answers = new Map<string, Map<string, Answer>>();
  const found: Measured[] = [];
  for (const spec of specs) {
    const key = lookKey(spec);
    if (!answers.has(key)) {
      await parts.pause();
      const sharing = specs.filter((other) => lookKey(other) === key);
      const outputs = [
        ...new Set(sharing.flatMap((each) => (each.head ? [each.features!] : outputsOf(each)))),
      ];
      const reads = text !== null && sharing.some(({ kind }) => kind === "core");
      const features = reads ? await parts.features(text) : null;
      const given = await parts.lookers.get(key)!.look(picture, features, outputs);
      answers.set(key, new Map(outputs.map((output, index) => [output, given[index]!])));
    }
    const looked = answers.get(key)!;
    const own = spec.head === null ? looked : await runHead(parts.heads.get(spec.head)!, spec, looked);
    // A measure that takes no text has looked at the picture alone.
    const described = spec.kind === "core" && text !== null && text.trim() !== "";
    const values = spec.columns.map((column) => columnOf(column, own.get(column.output)!, spec, described));
    const wrong = spec.columns[values.indexOf(null)];
    const error = wrong === undefined ? null : problemOf(wrong, own.get(wrong.output)!, spec);
    const words = spec.columns.map((column, at) => column.words[values[at] ?? -1] ?? null);
    found.push({ name: spec.name, values, words, error });
  }
  return found;
}

async function runHead(
  { session, input }: Head,
  spec: MeasureSpec,
  looked: ReadonlyMap<string, Answer>,
): Promise<Map<string, Answer>> {
  const { values, dims } = looked.get(spec.features!)!;
  if (dims.length !== 2 || dims[0] !== 1) throw wrongShape(spec, spec.features!, dims);
  const outputs = outputsOf(spec);
  const answers = await session.runAll({ [input]: ["float32", values, dims] }, outputs);
  return new Map(outputs.map((output, index) => [output, answers[index]!]));
}

function columnOf(
  column: ColumnSpec,
  { values, dims }: Answer,
  spec: MeasureSpec,
  described: boolean,
): number | null {
  const single = dims.every((size) => size === 1) && (dims.length === 1 || dims.length === 2);
  if (!single) throw wrongShape(spec, column.output, dims);
  const value = values[0]!;
  return isPlausible(column, value, described) ? columnValue(column, value, described) : null;
}

/**
 * Whether an answer is a number that the column could have: finite, and no further outside its usual range (of a curve:
 * its points) than 100 times its width. What a float16 that overflowed gives is not. Of words it is the place of one.
 */
export function isPlausible(column: ColumnSpec, raw: number, described: boolean): boolean {
  if (column.words.length > 0) return column.words[raw] !== undefined;
  const x = column.curve?.[described ? "withText" : "imageOnly"].x;
  const [low, high] = x === undefined ? [column.low, column.high] : [x[0]!, x.at(-1)!];
  const value = column.line === null ? raw : column.line.offset + column.line.slope * raw;
  const reach = MOST_RANGES * Math.max(high - low, 1);
  return low - reach <= value && value <= high + reach;
}

function problemOf(column: ColumnSpec, { values }: Answer, { name, graph, head }: MeasureSpec): string {
  const by = `(${column.output} of graph ${head ?? graph})`;
  const value = values[0]!;
  if (!Number.isFinite(value)) return `measure ${name}: the model's answer is not a number ${by}`;
  const number = Number(value.toPrecision(6));
  return `measure ${name}: the model's answer is ${number} ${by}, far outside what ${column.name} can be`;
}

/** The column's value for an output of a picture that was looked at with a description or without. */
export function columnValue(column: ColumnSpec, raw: number, described: boolean): number {
  const own = described ? "withText" : "imageOnly";
  if (column.curve !== null) return curveAt(column.curve[own], raw);
  const more = column.bound?.[own] ?? 0;
  if (column.line === null) return raw + more;
  const clip = (value: number) => Math.min(column.high, Math.max(column.low, value));
  return clip(clip(column.line.offset + column.line.slope * raw) + more);
}

function curveAt({ x, y }: Curve, at: number): number {
  const right = x.findIndex((each) => each > at);
  if (right === 0) return y[0]!;
  if (right < 0) return y.at(-1)!;
  const [x0, x1, y0, y1] = [x[right - 1]!, x[right]!, y[right - 1]!, y[right]!];
  return y0 + (y1 - y0) * ((at - x0) / (x1 - x0));
}

function wrongShape(spec: MeasureSpec, output: string, dims: readonly number[]): RealmError {
  return new RealmError(
    "bundle",
    `measure ${spec.name}: its output '${output}' is of shape (${dims.join(", ")}); export the bundle again`,
  );
}
