/** The manifest's measures and what they look through, every field checked once (docs/bundle.md). */

import { type ColumnSpec, parseColumns } from "./column-specs";
import { MOST_SIDE_PX } from "./limits";
import type { CoreSpec, FileEntry, GraphSpec, Interpolation } from "./manifest";
import { refuse, type Section } from "./section";

export const KINDS: readonly string[] = ["core", "graph", "head"];
const RESERVED = ["filename", "description", "error"];
const INTERPOLATIONS = ["bilinear", "bicubic"] as const;
const PRECISION = "fp32"; // the one that the page computes in

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
  /** Kind "head": the sha256 of the fp32 files that it was fitted on, by the name of the graph. */
  readonly fittedOn: ReadonlyMap<string, string>;
  /** Why this page cannot compute it; it is then left out. */
  readonly problem: string | null;
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
    words: [],
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
    fittedOn: new Map(),
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
    fittedOn: new Map<string, string>(),
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
  const fittedOn = entry.has("fitted_on") ? entry.section("fitted_on") : null;
  return {
    ...told,
    ...parseLook(section),
    features: section.string("output"),
    head: entry.string("graph"),
    fittedOn: new Map(Object.keys(fittedOn?.data ?? {}).map((each) => [each, fittedOn!.string(each)])),
  };
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

/** Heads answer for the very towers that they were fitted on: one whose tower's listed file is another gets a problem. */
export function leaveOutOthers(
  measures: readonly MeasureSpec[],
  graphs: ReadonlyMap<string, GraphSpec>,
  files: ReadonlyMap<string, FileEntry>,
): MeasureSpec[] {
  return measures.map((measure) => {
    if (measure.problem !== null) return measure;
    for (const [graph, sha256] of measure.fittedOn) {
      const file = graphs.get(graph)?.variants[PRECISION];
      if (file !== undefined && files.get(file)?.sha256 === sha256) continue;
      const what = `was fitted on another ${graph} graph (${sha256.slice(0, 4)}...)`;
      return { ...measure, problem: `${what}; fit it again with realm-train, or use that bundle` };
    }
    return measure;
  });
}
