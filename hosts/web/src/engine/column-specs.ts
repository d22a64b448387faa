/** The columns that a measure of the manifest lists: numbers and words, and how sure they are. */

import { refuse, type Section } from "./section";

const MOST_POINTS = 4096; // of a curve
const NAME = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/;

/** What differs between pictures that are looked at with a description and without one. */
export interface ByText<T> {
  readonly withText: T;
  readonly imageOnly: T;
}

/** Straight lines between points; before the first and after the last its ends. `x` rises strictly. */
export interface Curve {
  readonly x: readonly number[];
  readonly y: readonly number[];
}

/** One number of a measure, or one word. */
export interface ColumnSpec {
  readonly name: string;
  readonly meaning: string;
  /** The usual range. */
  readonly low: number;
  readonly high: number;
  readonly better: "high" | "low";
  readonly decimals: number;
  /** Output of the measure's graph that holds it; with `line` it is offset + slope * output, clipped to the range. */
  readonly output: string;
  readonly line: { readonly offset: number; readonly slope: number } | null;
  /** The value is the curve at the output. */
  readonly curve: ByText<Curve> | null;
  /** How sure the value is; the columns NAME_low and NAME_high follow. */
  readonly interval: { readonly share: number; readonly halfWidth: ByText<number> } | null;
  /** A value above it is a reason to distrust the picture's numbers. */
  readonly flagAbove: number | null;
  /** Added to the value, of the columns NAME_low and NAME_high alone. */
  readonly bound: ByText<number> | null;
  /** What the output is the place of, 0, 1, ...; none where the column holds numbers. */
  readonly words: readonly string[];
}

function aboveZero(section: Section, key: string): number {
  const value = section.number(key);
  return value > 0 ? value : refuse(section.where, `'${key}' is ${value}, not above 0`);
}

/** What stands under "with_text" and "image_only", or for both under "any". */
function byText<T>(section: Section, read: (section: Section, key: string) => T): ByText<T> {
  if (!section.has("any"))
    return { withText: read(section, "with_text"), imageOnly: read(section, "image_only") };
  const both = read(section, "any");
  return { withText: both, imageOnly: both };
}

function numbers(section: Section, key: string): number[] {
  const values = section.array(key);
  if (values.length < 1 || values.length > MOST_POINTS || !values.every(Number.isFinite)) {
    refuse(section.where, `'${key}' must list 1 to ${MOST_POINTS} finite numbers`);
  }
  return values as number[];
}

function parseCurve(section: Section, key: string): Curve {
  const points = section.section(key);
  const curve = { x: numbers(points, "x"), y: numbers(points, "y") };
  if (
    curve.x.length !== curve.y.length ||
    curve.x.some((x, index) => index > 0 && x <= curve.x[index - 1]!)
  ) {
    refuse(points.where, "'x' must rise from point to point and have a 'y' each");
  }
  return curve;
}

function parseInterval(section: Section): NonNullable<ColumnSpec["interval"]> {
  const share = section.number("share");
  if (share <= 0 || share >= 1) refuse(section.where, `'share' is ${share}, not between 0 and 1`);
  return { share, halfWidth: byText(section, aboveZero) };
}

/** A column, and behind it the ends of its interval. */
function withBounds(column: ColumnSpec): ColumnSpec[] {
  if (column.interval === null) return [column];
  const { withText, imageOnly } = column.interval.halfWidth;
  const end = (which: string, sign: number): ColumnSpec => ({
    ...column,
    name: `${column.name}_${which}`,
    meaning: `${which} end of ${column.name}`,
    interval: null,
    flagAbove: null,
    bound: { withText: sign * withText, imageOnly: sign * imageOnly },
  });
  return [column, end("low", -1), end("high", 1)];
}

/** Those that the measure lists, those that readers before 1.2 would read wrongly, and those that hold words. */
export function parseColumns(entry: Section): ColumnSpec[] {
  const listed = (key: string, parse: (column: Section) => ColumnSpec) =>
    entry.array(key).map((_, index) => parse(entry.item(key, index)));
  const more = entry.has("more_columns") ? listed("more_columns", parseColumn) : [];
  const words = entry.has("word_columns") ? listed("word_columns", parseWordColumn) : [];
  return [...[...listed("columns", parseColumn), ...more].flatMap(withBounds), ...words];
}

function parseWordColumn(entry: Section): ColumnSpec {
  const words = entry.array("words");
  if (!words.every((word): word is string => typeof word === "string" && NAME.test(word))) {
    refuse(entry.where, "'words' must have letters, digits, '-' and '_', a letter first");
  }
  if (words.length < 2 || new Set(words).size !== words.length) {
    refuse(entry.where, "'words' must be two or more different ones");
  }
  return {
    name: entry.string("name"),
    meaning: entry.string("meaning"),
    low: 0,
    high: words.length - 1,
    better: entry.choice("better", ["high", "low"]),
    decimals: 0,
    output: entry.string("output"),
    line: null,
    curve: null,
    interval: null,
    flagAbove: null,
    bound: null,
    words,
  };
}

function parseColumn(entry: Section): ColumnSpec {
  const decimals = entry.has("decimals") ? entry.whole("decimals") : 6;
  if (decimals < 0 || decimals > 17) refuse(entry.where, `'decimals' is ${decimals}, must be 0 to 17`);
  const line = entry.has("line") ? entry.section("line") : null;
  const column: ColumnSpec = {
    name: entry.string("name"),
    meaning: entry.string("meaning"),
    low: entry.number("low"),
    high: entry.number("high"),
    better: entry.choice("better", ["high", "low"]),
    decimals,
    output: entry.string("output"),
    line: line && { offset: line.number("offset"), slope: line.number("slope") },
    curve: entry.has("curve") ? byText(entry.section("curve"), parseCurve) : null,
    interval: entry.has("interval") ? parseInterval(entry.section("interval")) : null,
    flagAbove: entry.has("flag_above") ? entry.number("flag_above") : null,
    bound: null,
    words: [],
  };
  if (column.curve !== null && (column.line !== null || column.interval !== null)) {
    refuse(entry.where, "a 'curve' has no line and no interval");
  }
  if (column.low >= column.high) refuse(entry.where, "'low' must lie below 'high'");
  return column;
}
