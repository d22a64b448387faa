/** `bundle.json`, every field checked once, with the words of the Python engine (realm_engine/bundle/manifest.py). */

import { RealmError } from "./errors";
import {
  LEAST_STRIDE_PX,
  LEAST_WINDOW_PX,
  MOST_DIMENSIONS,
  MOST_FILE_BYTES,
  MOST_FILES,
  MOST_PHRASES,
  MOST_SCALES,
  MOST_SIDE_PX,
  MOST_TOKENS,
  MOST_WINDOW_PX,
} from "./limits";
import { checkMeasures, leaveOutOthers, type MeasureSpec, parseMeasures } from "./measure-specs";
import { Section, safeRelative } from "./section";

const FORMAT = "realm-bundle";
const FORMAT_MAJOR = 1;
const GRAPHS = ["core_text", "core", "clip_text", "dream", "trunk", "windows", "photographs"] as const;
/** What can encode the windows of a map, and the graphs that each needs beside the text tower. */
const ENCODERS = { "each-window": ["dream"], "one-pass": ["trunk", "windows"] } as const;
const AGGREGATES = ["mean", "max"] as const;
const INTERPOLATIONS = ["bilinear", "bicubic"] as const;

export type Aggregate = (typeof AGGREGATES)[number];
export type Interpolation = (typeof INTERPOLATIONS)[number];
export type EncoderName = keyof typeof ENCODERS;

export const ENCODER_NAMES = Object.keys(ENCODERS) as EncoderName[];

/** An input or output of a graph: how many axes it has; `lastSize` is null where the manifest leaves it free. */
export interface TensorSpec {
  readonly name: string;
  readonly rank: number;
  readonly lastSize: number | null;
}

export interface GraphSpec {
  readonly name: string;
  /** File by precision: "fp32" -> "core.onnx". */
  readonly variants: Readonly<Record<string, string>>;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
}

/** Which phrases of the bank count: at most so many, none further behind the best, by a percentile of windows. */
export interface PhrasePolicy {
  readonly most: number;
  readonly marginZ: number;
  readonly percentile: number;
}

/** How text becomes token ids; `buckets` ascend and end with `maxTokens`. */
export interface TextSpec {
  readonly tokenizer: string;
  readonly maxTokens: number;
  readonly padId: number;
  readonly fixedLength: boolean;
  readonly buckets: readonly number[];
}

export interface CoreSpec {
  readonly heightPx: number;
  readonly widthPx: number;
  readonly interpolation: Interpolation;
  readonly text: TextSpec;
  readonly missingText: "trained" | "empty-description";
  /** 0-100 rating = offset + slope * MOS, clipped. */
  readonly ratingOffset: number;
  readonly ratingSlope: number;
}

export interface Preset {
  readonly name: string;
  readonly windowsPx: readonly number[];
  readonly stridePx: number;
  readonly aggregate: Aggregate;
  readonly encoder: EncoderName;
  readonly standsOut: StandsOut;
}

/** z-scores that maps of few untouched photographs reach; null where that was not measured. */
export interface StandsOut {
  /** Of a text that was given. */
  readonly text: number | null;
  /** Of phrases that were picked for the picture. */
  readonly phrases: number | null;
}

/** Which windows the graph `photographs` knows. */
export interface PhotographsSpec {
  /** In the order of its columns. */
  readonly windowsPx: readonly number[];
  readonly encoder: EncoderName;
}

/** How a trunk runs over a picture. */
export interface PassSpec {
  /** Sides of the cells of its stages, each once. */
  readonly cellsPx: readonly number[];
  /** Pictures are filled up to whole cells of the largest kind. */
  readonly coarsestPx: number;
}

export interface DreamSpec {
  readonly imageSizePx: number;
  readonly interpolation: Interpolation;
  readonly text: TextSpec;
  /** The recommended one first. */
  readonly presets: readonly Preset[];
  /** Those that are there, that of the recommended preset first. */
  readonly encoders: readonly EncoderName[];
  /** Null where no map can be made in one pass. */
  readonly onePass: PassSpec | null;
  readonly phrases: string | null;
  /** Null where nothing is known of untouched photographs. */
  readonly photographs: PhotographsSpec | null;
}

export interface FileEntry {
  readonly sha256: string;
  readonly sizeBytes: number;
}

export interface Manifest {
  readonly name: string;
  readonly description: string;
  /** Of the weights as a whole, the strictest. */
  readonly weightsLicence: string;
  /** Of those that draw maps; "" where there are none. */
  readonly mapsLicence: string;
  readonly files: ReadonlyMap<string, FileEntry>;
  readonly graphs: ReadonlyMap<string, GraphSpec>;
  readonly core: CoreSpec | null;
  readonly dream: DreamSpec | null;
  /** In the order of the manifest, those with a problem included; the first is the default. */
  readonly measures: readonly MeasureSpec[];
  readonly phrasePolicy: PhrasePolicy;
}

function checkVersion(manifest: Section): void {
  if (manifest.data.format !== FORMAT) {
    throw new RealmError("bundle", `${manifest.where}: 'format' is not '${FORMAT}'; this is no REALM bundle`);
  }
  const version = manifest.string("format_version");
  const major = version.split(".")[0] ?? "";
  if (!/^\d{1,9}(\.\d{1,9}){0,3}$/.test(version)) {
    throw new RealmError(
      "bundle",
      `${manifest.where}: format version '${version}' is not a version; export the bundle again`,
    );
  }
  if (Number(major) !== FORMAT_MAJOR) {
    const cure = Number(major) > FORMAT_MAJOR ? "update realm-engine" : "export the bundle again";
    throw new RealmError(
      "bundle",
      `${manifest.where}: format version ${version}, but this engine reads ${FORMAT_MAJOR}.x; ${cure}`,
    );
  }
}

function parseTensors(entry: Section, key: string): TensorSpec[] {
  return entry.array(key).map((item) => {
    const tensor = new Section(item, `${entry.where}, '${key}'`);
    const shape = tensor.array("shape");
    if (shape.length > MOST_DIMENSIONS) {
      throw new RealmError(
        "bundle",
        `${tensor.where}: 'shape' must list at most ${MOST_DIMENSIONS} sizes; export the bundle again`,
      );
    }
    const size = shape.at(-1);
    const known = typeof size === "number" && Number.isInteger(size) && size > 0;
    return { name: tensor.string("name"), rank: shape.length, lastSize: known ? size : null };
  });
}

/** Those of the named graphs that are there: unknown ones are ignored, a minor version may add some. */
function parseGraphs(section: Section, names: Iterable<string>): Map<string, GraphSpec> {
  const graphs = new Map<string, GraphSpec>();
  for (const name of names) {
    if (!section.has(name)) continue;
    const entry = section.section(name);
    const variants: Record<string, string> = {};
    for (const [precision, path] of Object.entries(entry.section("variants").data)) {
      variants[precision] = safeRelative(path, entry.where);
    }
    if (Object.keys(variants).length === 0) {
      throw new RealmError("bundle", `${entry.where}: no variant; export the bundle again`);
    }
    const [inputs, outputs] = [parseTensors(entry, "inputs"), parseTensors(entry, "outputs")];
    graphs.set(name, { name, variants, inputs, outputs });
  }
  return graphs;
}

/** What `maps` says of phrases, the numbers of the format where it says nothing. The page draws no regions. */
function parsePhrasePolicy(manifest: Section): PhrasePolicy {
  const maps = manifest.has("maps") ? manifest.section("maps") : new Section({}, manifest.where);
  const phrases = maps.has("phrases") ? maps.section("phrases") : new Section({}, maps.where);
  const policy = {
    most: phrases.has("most") ? phrases.positive("most", MOST_PHRASES) : 3,
    marginZ: phrases.has("margin_z") ? phrases.number("margin_z") : 1,
    percentile: phrases.has("percentile") ? phrases.number("percentile") : 95,
  };
  if (policy.marginZ < 0 || policy.percentile < 0 || policy.percentile > 100) {
    throw new RealmError(
      "bundle",
      `${phrases.where}: 'margin_z' or 'percentile' is out of range; export the bundle again`,
    );
  }
  return policy;
}

function parseText(section: Section): TextSpec {
  const maxTokens = section.positive("max_tokens", MOST_TOKENS);
  const buckets = [...new Set(section.positives("buckets"))].sort((a, b) => a - b);
  if (buckets.at(-1) !== maxTokens) {
    throw new RealmError(
      "bundle",
      `${section.where}: 'buckets' must end with 'max_tokens'; export the bundle again`,
    );
  }
  return {
    tokenizer: safeRelative(section.string("tokenizer"), section.where),
    maxTokens,
    padId: section.whole("pad_id", 0, 2 ** 31 - 1),
    fixedLength: section.boolean("fixed_length"),
    buckets,
  };
}

function parseCore(section: Section): CoreSpec {
  const image = section.section("image");
  const rating = section.section("rating");
  return {
    heightPx: image.positive("height_px", MOST_SIDE_PX),
    widthPx: image.positive("width_px", MOST_SIDE_PX),
    interpolation: image.choice("interpolation", INTERPOLATIONS),
    text: parseText(section.section("text")),
    missingText: section.choice("missing_text", ["trained", "empty-description"]),
    ratingOffset: rating.number("offset"),
    ratingSlope: rating.number("slope"),
  };
}

/** The encoders of a bundle: those whose graphs are there, and the text tower with them. */
function encodersIn(graphs: ReadonlyMap<string, GraphSpec>): EncoderName[] {
  if (!graphs.has("clip_text")) return [];
  return ENCODER_NAMES.filter((name) => graphsOf(name).every((graph) => graphs.has(graph)));
}

/** Graphs of an encoder. */
export function graphsOf(encoder: EncoderName): readonly string[] {
  return ENCODERS[encoder];
}

/** Encoders that some preset asks for, the recommended one's first: of the others nothing need be downloaded. */
export function presetEncoders({ presets }: DreamSpec): EncoderName[] {
  return [...new Set(presets.map((preset) => preset.encoder))];
}

function parsePass(section: Section): PassSpec {
  const cellsPx = section.positives("cells_px");
  const haloPx = section.positive("halo_px", MOST_SIDE_PX);
  const coarsestPx = Math.max(...cellsPx);
  if (cellsPx.some((cell) => coarsestPx % cell !== 0) || haloPx % coarsestPx !== 0) {
    throw new RealmError(
      "bundle",
      `${section.where}: cells of ${cellsPx.join(", ")} px and a halo of ${haloPx} px do not ` +
        "fit into one another; export the bundle again",
    );
  }
  return { cellsPx, coarsestPx };
}

function parseStandsOut(preset: Section): StandsOut {
  const known = preset.has("stands_out") ? preset.section("stands_out") : new Section({}, preset.where);
  function above(key: keyof StandsOut): number | null {
    if (!known.has(key)) return null;
    const value = known.number(key);
    if (value > 0) return value;
    throw new RealmError("bundle", `${known.where}: '${key}' must be above 0; export the bundle again`);
  }
  return { text: above("text"), phrases: above("phrases") };
}

function parsePhotographs(section: Section): PhotographsSpec {
  return {
    windowsPx: section.positives("windows_px"),
    encoder: section.choice("encoder", ENCODER_NAMES),
  };
}

/** The graph `photographs` is there as the section says. Throws RealmError "bundle". */
function checkPhotographs(spec: PhotographsSpec, graph: GraphSpec | undefined, where: string): void {
  const columns = spec.windowsPx.length;
  const fits = (name: string) => graph?.outputs.some((o) => o.name === name && o.lastSize === columns);
  if (fits("mean") && fits("std")) return;
  throw new RealmError(
    "bundle",
    `${where}: 'photographs' needs a graph of that name whose mean and std have ${columns} columns; ` +
      "export the bundle again",
  );
}

function presetWindows(preset: Section): number[] {
  const sizes = preset.positives("windows_px");
  const different = new Set(sizes).size === sizes.length;
  if (different && sizes.length <= MOST_SCALES && Math.min(...sizes) >= LEAST_WINDOW_PX) return sizes;
  throw new RealmError(
    "bundle",
    `${preset.where}: 'windows_px' must list at most ${MOST_SCALES} different sizes from ${LEAST_WINDOW_PX} px; ` +
      "export the bundle again",
  );
}

/** `encoders`: those that are there; a preset that names none has the first. */
function parseDream(section: Section, encoders: readonly EncoderName[]): DreamSpec {
  const entries = section.section("presets");
  const presets = Object.keys(entries.data).map((name): Preset => {
    const entry = entries.section(name);
    return {
      name,
      windowsPx: presetWindows(entry),
      stridePx: entry.whole("stride_px", LEAST_STRIDE_PX, MOST_WINDOW_PX),
      aggregate: entry.choice("aggregate", AGGREGATES),
      encoder: entry.has("encoder") ? entry.choice("encoder", encoders) : encoders[0]!,
      standsOut: parseStandsOut(entry),
    };
  });
  if (presets.length === 0) {
    throw new RealmError("bundle", `${section.where}: no preset; export the bundle again`);
  }
  const names = presets.map((preset) => preset.name);
  const recommended = section.choice("recommended_preset", names);
  const phrases = section.data.phrases ?? null;
  const first = presets.find((preset) => preset.name === recommended)!.encoder;
  return {
    imageSizePx: section.positive("image_size_px", MOST_SIDE_PX),
    interpolation: section.choice("interpolation", INTERPOLATIONS),
    text: parseText(section.section("text")),
    presets: [
      ...presets.filter((preset) => preset.name === recommended),
      ...presets.filter((preset) => preset.name !== recommended),
    ],
    encoders: [first, ...encoders.filter((name) => name !== first)],
    onePass: encoders.includes("one-pass") ? parsePass(section.section("one_pass")) : null,
    phrases: phrases === null ? null : safeRelative(phrases, section.where),
    photographs: section.has("photographs") ? parsePhotographs(section.section("photographs")) : null,
  };
}

/** The licence that an object states, "" for none. */
function licenceOf(section: Section): string {
  const licence = section.data.licence;
  const weights =
    typeof licence === "object" && licence !== null && "weights" in licence ? licence.weights : "";
  return String(weights ?? "");
}

/**
 * Check a manifest. `where` is what errors call it (the address of `bundle.json`).
 * Throws RealmError "bundle" for the first fault. Unknown fields are ignored.
 */
export function parseManifest(json: unknown, where: string): Manifest {
  const manifest = new Section(json, where);
  checkVersion(manifest);
  const name = manifest.string("name");
  const graphs = parseGraphs(manifest.section("graphs"), GRAPHS);
  const hasCore = graphs.has("core_text") && graphs.has("core");
  const encoders = encodersIn(graphs);
  const core = hasCore ? parseCore(manifest.section("core")) : null;
  const dream = encoders.length > 0 ? parseDream(manifest.section("dream"), encoders) : null;
  if (dream?.photographs) {
    checkPhotographs(dream.photographs, graphs.get("photographs"), manifest.section("dream").where);
  }
  const measures = parseMeasures(manifest, core);
  if (dream === null && measures.length === 0) {
    throw new RealmError(
      "bundle",
      `${where}: nothing in it can be run; neither a measure nor maps are complete, export it again`,
    );
  }
  const usable = measures.filter((measure) => measure.problem === null);
  const more = usable.flatMap(({ graph, head, fittedOn }) =>
    head === null ? [graph] : [graph, head, ...fittedOn.keys()],
  );
  for (const [other, graph] of parseGraphs(manifest.section("graphs"), more)) graphs.set(other, graph);
  if (manifest.has("measures")) checkMeasures(usable, graphs, where);
  const files = new Map<string, FileEntry>();
  const listed = manifest.section("files");
  const paths = Object.keys(listed.data);
  if (paths.length > MOST_FILES) {
    throw new RealmError(
      "bundle",
      `${listed.where}: lists ${paths.length} files, more than ${MOST_FILES}; export the bundle again`,
    );
  }
  for (const path of paths) {
    const entry = listed.section(safeRelative(path, listed.where));
    if (path.split("/").some((part) => part === "" || part === ".")) {
      throw new RealmError(
        "bundle",
        `${listed.where}: the path '${path}' is not written the short way; export the bundle again`,
      );
    }
    const sizeBytes = entry.whole("size_bytes", 0, MOST_FILE_BYTES);
    files.set(path, { sha256: entry.string("sha256").toLowerCase(), sizeBytes });
  }
  const used = [...graphs.values()].flatMap((graph) => Object.values(graph.variants));
  for (const spec of [core, dream]) if (spec !== null) used.push(spec.text.tokenizer);
  if (dream?.phrases) used.push(dream.phrases);
  for (const path of used) {
    if (!files.has(path)) {
      throw new RealmError(
        "bundle",
        `${where}: the manifest does not list '${path}'; export the bundle again`,
      );
    }
  }
  const weightsLicence = licenceOf(manifest);
  return {
    name,
    description: typeof manifest.data.description === "string" ? manifest.data.description : "",
    weightsLicence,
    mapsLicence: dream === null ? "" : licenceOf(manifest.section("dream")) || weightsLicence,
    files,
    graphs,
    core,
    dream,
    measures: leaveOutOthers(measures, graphs, files),
    phrasePolicy: parsePhrasePolicy(manifest),
  };
}
