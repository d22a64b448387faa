/** The manifest's measures and what they look through, every field checked once (docs/bundle.md). */

import { RealmError } from "./errors";
import { MOST_SIDE_PX } from "./limits";
import type { CoreSpec, GraphSpec, Interpolation } from "./manifest";
import type { Section } from "./section";

const KINDS = ["core", "graph", "head"];
const RESERVED = ["filename", "description", "error"];
const INTERPOLATIONS = ["bilinear", "bicubic"] as const;
const PRECISION = "fp32"; // the one that the page computes in
const MOST_POINTS = 4096; // of a curve

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

/** One number of a measure. */
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
}

/** How pixels get into a graph: whole, resized by matrices that go along, or as they are. */
export type ViewSpec =
  | { readonly kind: "native" }
  | {
      readonly kind: "whole";
      readonly heightPx: number;
      readonly widthPx: number;
      readonly interpolation: Interpolation;
    };

export interface MeasureSpec {
  readonly name: string;
  readonly kind: string;
  readonly says: string;
  readonly columns: readonly ColumnSpec[];
  /** The graph that looks at the picture, and how. */
  readonly graph: string;
  readonly view: ViewSpec;
  /** Kind "head": the output of `graph` that the graph `head` takes. */
  readonly features: string | null;
  readonly head: string | null;
  /** Why this page cannot compute it; it is then left out. */
  readonly problem: string | null;
}

function refuse(where: string, what: string): never {
  throw new RealmError("bundle", `${where}: ${what}; export the bundle again`);
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

/** Those that the measure lists, and those that readers before 1.2 would read wrongly. */
function parseColumns(entry: Section): ColumnSpec[] {
  return ["columns", "more_columns"]
    .filter((key) => key === "columns" || entry.has(key))
    .flatMap((key) => entry.array(key).map((_, index) => parseColumn(entry.item(key, index))))
    .flatMap(withBounds);
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
  };
  if (column.curve !== null && (column.line !== null || column.interval !== null)) {
    refuse(entry.where, "a 'curve' has no line and no interval");
  }
  if (column.low >= column.high) refuse(entry.where, "'low' must lie below 'high'");
  return column;
}

/** Graph and view of a section that holds both, a measure's or a tower's. */
function parseLook(section: Section): Pick<MeasureSpec, "graph" | "view" | "problem"> {
  const graph = section.string("graph");
  const view = section.section("view");
  const kind = view.string("kind");
  if (kind === "whole") {
    const whole: ViewSpec = {
      kind,
      heightPx: view.positive("height_px", MOST_SIDE_PX),
      widthPx: view.positive("width_px", MOST_SIDE_PX),
      interpolation: view.choice("interpolation", INTERPOLATIONS),
    };
    return { graph, view: whole, problem: null };
  }
  const problem =
    kind === "native" ? null : `looks through a view of the kind '${kind}', that this host does not support`;
  return { graph, view: { kind: "native" }, problem };
}

function coreLook({ heightPx, widthPx, interpolation }: CoreSpec): Pick<MeasureSpec, "graph" | "view"> {
  return { graph: "core", view: { kind: "whole", heightPx, widthPx, interpolation } };
}

/** Format 1.0 has no measures: what its CORE says. */
function coreOfOld(core: CoreSpec): MeasureSpec {
  const line = { offset: core.ratingOffset, slope: core.ratingSlope };
  const mos: ColumnSpec = {
    name: "mos",
    meaning: "mean opinion score as a z-score",
    low: -3,
    high: 2,
    better: "high",
    decimals: 6,
    output: "mos",
    line: null,
    curve: null,
    interval: null,
    flagAbove: null,
    bound: null,
  };
  const meaning = "the 0-100 rating behind the score";
  const realness: ColumnSpec = { ...mos, name: "realness", meaning, low: 0, high: 100, decimals: 4, line };
  const says =
    "How real does it look to people: a mean opinion score, from the picture and a description of its flaws.";
  const columns = [mos, realness];
  return {
    name: "core",
    kind: "core",
    says,
    columns,
    ...coreLook(core),
    features: null,
    head: null,
    problem: null,
  };
}

function parseMeasure(name: string, entry: Section, manifest: Section, core: CoreSpec | null): MeasureSpec {
  const kind = entry.string("kind");
  const empty = {
    name,
    kind,
    says: "",
    columns: [],
    graph: "",
    view: { kind: "native" },
    features: null,
    head: null,
  } as const;
  if (!KINDS.includes(kind)) {
    return { ...empty, problem: `is of a kind that this host does not support ('${kind}')` };
  }
  const columns = parseColumns(entry);
  if (columns.length === 0) refuse(entry.where, "no column");
  const licence = entry.section("licence");
  licence.string("weights");
  licence.boolean("commercial_use");
  entry.string("training_data");
  entry.section("metrics");
  const told = { ...empty, says: entry.string("says"), columns, problem: null };
  if (kind === "core") {
    if (core === null) refuse(entry.where, "the graphs core_text and core are not there");
    return { ...told, ...coreLook(core) };
  }
  if (kind === "graph") return { ...told, ...parseLook(entry) };
  const tower = entry.string("tower");
  const towers = manifest.section("towers");
  if (!towers.has(tower)) refuse(entry.where, `the tower '${tower}' is not in 'towers'`);
  const section = towers.section(tower);
  return { ...told, ...parseLook(section), features: section.string("output"), head: entry.string("graph") };
}

/** In the manifest's order. Without a section `measures` (format 1.0) CORE, where there is one, is a measure. */
export function parseMeasures(manifest: Section, core: CoreSpec | null): MeasureSpec[] {
  if (!manifest.has("measures")) return core === null ? [] : [coreOfOld(core)];
  const section = manifest.section("measures");
  const found = Object.keys(section.data).map((name) =>
    parseMeasure(name, section.section(name), manifest, core),
  );
  const names = new Set(RESERVED);
  for (const { name } of found.flatMap((measure) => measure.columns)) {
    if (name === "" || names.has(name)) {
      refuse(manifest.where, `the column '${name}' is named twice or not allowed`);
    }
    names.add(name);
  }
  return found;
}

/** Graphs, their inputs and outputs are there as the measures need them. Throws RealmError "bundle". */
export function checkMeasures(
  measures: readonly MeasureSpec[],
  graphs: ReadonlyMap<string, GraphSpec>,
  where: string,
): void {
  for (const { name, graph, view, features, head, columns } of measures) {
    const own = `${where}, 'measures', '${name}'`;
    const graphOf = (wanted: string) =>
      graphs.get(wanted) ?? refuse(own, `the graph '${wanted}' is not in 'graphs'`);
    const checkOutput = (of: string, output: string) => {
      if (!graphOf(of).outputs.some((tensor) => tensor.name === output)) {
        refuse(own, `the graph '${of}' has no output '${output}'`);
      }
    };
    for (const each of head === null ? [graph] : [graph, head]) {
      if (!(PRECISION in graphOf(each).variants))
        refuse(own, `the graph '${each}' has no file in ${PRECISION}`);
    }
    if (head !== null) {
      checkOutput(graph, features!);
      if (graphOf(head).inputs.length !== 1) refuse(own, `the graph '${head}' is no head: one input`);
    }
    const inputs = graphOf(graph).inputs.map((tensor) => tensor.name);
    const resized = inputs.includes("resample_rows") && inputs.includes("resample_cols");
    if (!inputs.includes("pixels") || resized !== (view.kind === "whole")) {
      refuse(own, `the inputs of the graph '${graph}' do not suit its view`);
    }
    for (const column of columns) checkOutput(head ?? graph, column.output);
  }
}
