/** `bundle.json`, every field checked once, with the words of the Python engine (realm_engine/bundle_new/manifest.py). */

import { RealmError } from "./errors";

const FORMAT = "realm-bundle";
const FORMAT_MAJOR = 1;
const GRAPHS = ["core_text", "core", "clip_text", "dream"] as const;
const AGGREGATES = ["mean", "max"] as const;
const INTERPOLATIONS = ["bilinear", "bicubic"] as const;

export type GraphName = (typeof GRAPHS)[number];
export type Aggregate = (typeof AGGREGATES)[number];
export type Interpolation = (typeof INTERPOLATIONS)[number];

export interface GraphSpec {
  readonly name: GraphName;
  /** File by precision: "fp32" -> "core.onnx". */
  readonly variants: Readonly<Record<string, string>>;
  readonly inputs: readonly string[];
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
}

export interface DreamSpec {
  readonly imageSizePx: number;
  readonly interpolation: Interpolation;
  readonly text: TextSpec;
  /** The recommended one first. */
  readonly presets: readonly Preset[];
  readonly phrases: string | null;
}

export interface FileEntry {
  readonly sha256: string;
  readonly sizeBytes: number;
}

export interface Manifest {
  readonly name: string;
  readonly description: string;
  readonly weightsLicence: string;
  readonly files: ReadonlyMap<string, FileEntry>;
  readonly graphs: ReadonlyMap<GraphName, GraphSpec>;
  readonly core: CoreSpec | null;
  readonly dream: DreamSpec | null;
}

/** A JSON object together with the place it stands, for errors that name both. */
class Section {
  readonly data: Record<string, unknown>;

  constructor(
    data: unknown,
    readonly where: string,
  ) {
    if (typeof data !== "object" || data === null || Array.isArray(data)) {
      throw new RealmError("bundle", `${where} must be a JSON object; export the bundle again`);
    }
    this.data = data as Record<string, unknown>;
  }

  private fail(key: string): never {
    const state = key in this.data ? `${JSON.stringify(this.data[key])}, of the wrong kind` : "missing";
    throw new RealmError("bundle", `${this.where}: '${key}' is ${state}; export the bundle again`);
  }

  string(key: string): string {
    const value = this.data[key];
    return typeof value === "string" ? value : this.fail(key);
  }

  boolean(key: string): boolean {
    const value = this.data[key];
    return typeof value === "boolean" ? value : this.fail(key);
  }

  number(key: string): number {
    const value = this.data[key];
    return typeof value === "number" && Number.isFinite(value) ? value : this.fail(key);
  }

  whole(key: string): number {
    const value = this.number(key);
    return Number.isInteger(value) ? value : this.fail(key);
  }

  positive(key: string): number {
    const value = this.whole(key);
    if (value < 1) {
      throw new RealmError("bundle", `${this.where}: '${key}' is ${value}, below 1; export the bundle again`);
    }
    return value;
  }

  positives(key: string): number[] {
    const values = this.array(key);
    if (values.length === 0 || values.some((v) => typeof v !== "number" || !Number.isInteger(v) || v < 1)) {
      throw new RealmError(
        "bundle",
        `${this.where}: '${key}' must list whole numbers from 1; export it again`,
      );
    }
    return values as number[];
  }

  array(key: string): unknown[] {
    const value = this.data[key];
    return Array.isArray(value) ? value : this.fail(key);
  }

  choice<T extends string>(key: string, choices: readonly T[]): T {
    const value = this.string(key);
    if (!(choices as readonly string[]).includes(value)) {
      throw new RealmError(
        "bundle",
        `${this.where}: '${key}' is '${value}', must be one of ${choices.join(", ")}`,
      );
    }
    return value as T;
  }

  section(key: string): Section {
    return new Section(this.data[key], `${this.where}, '${key}'`);
  }
}

/** Return `path` when it is a plain relative POSIX path that cannot leave its folder. */
function safeRelative(path: unknown, where: string): string {
  if (typeof path === "string" && path !== "" && !/[\\\0]/.test(path) && !/^[A-Za-z]:/.test(path)) {
    const parts = path.split("/").filter((part) => part !== "" && part !== ".");
    if (!path.startsWith("/") && parts.length > 0 && !parts.includes("..")) return path;
  }
  throw new RealmError(
    "bundle",
    `${where}: the path '${String(path)}' leaves the bundle; do not use a bundle that asks for it`,
  );
}

function checkVersion(manifest: Section): void {
  if (manifest.data.format !== FORMAT) {
    throw new RealmError("bundle", `${manifest.where}: 'format' is not '${FORMAT}'; this is no REALM bundle`);
  }
  const version = manifest.string("format_version");
  const major = version.split(".")[0] ?? "";
  if (!/^\d+$/.test(major)) {
    throw new RealmError(
      "bundle",
      `${manifest.where}: format version '${version}' is none; export the bundle again`,
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

function parseGraphs(section: Section): Map<GraphName, GraphSpec> {
  const graphs = new Map<GraphName, GraphSpec>();
  for (const name of GRAPHS) {
    if (!(name in section.data)) continue; // unknown names are ignored: a minor version may add some
    const entry = section.section(name);
    const variants: Record<string, string> = {};
    for (const [precision, path] of Object.entries(entry.section("variants").data)) {
      variants[precision] = safeRelative(path, entry.where);
    }
    if (Object.keys(variants).length === 0) {
      throw new RealmError("bundle", `${entry.where}: no variant; export the bundle again`);
    }
    const inputs = entry.array("inputs").map((item) => new Section(item, `${entry.where}, 'inputs'`));
    graphs.set(name, { name, variants, inputs: inputs.map((input) => input.string("name")) });
  }
  return graphs;
}

function parseText(section: Section): TextSpec {
  const maxTokens = section.positive("max_tokens");
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
    padId: section.whole("pad_id"),
    fixedLength: section.boolean("fixed_length"),
    buckets,
  };
}

function parseCore(section: Section): CoreSpec {
  const image = section.section("image");
  const rating = section.section("rating");
  return {
    heightPx: image.positive("height_px"),
    widthPx: image.positive("width_px"),
    interpolation: image.choice("interpolation", INTERPOLATIONS),
    text: parseText(section.section("text")),
    missingText: section.choice("missing_text", ["trained", "empty-description"]),
    ratingOffset: rating.number("offset"),
    ratingSlope: rating.number("slope"),
  };
}

function parseDream(section: Section): DreamSpec {
  const entries = section.section("presets");
  const presets = Object.keys(entries.data).map((name): Preset => {
    const entry = entries.section(name);
    return {
      name,
      windowsPx: entry.positives("windows_px"),
      stridePx: entry.positive("stride_px"),
      aggregate: entry.choice("aggregate", AGGREGATES),
    };
  });
  if (presets.length === 0) {
    throw new RealmError("bundle", `${section.where}: no preset; export the bundle again`);
  }
  const names = presets.map((preset) => preset.name);
  const recommended = section.choice("recommended_preset", names);
  const phrases = section.data.phrases ?? null;
  return {
    imageSizePx: section.positive("image_size_px"),
    interpolation: section.choice("interpolation", INTERPOLATIONS),
    text: parseText(section.section("text")),
    presets: [
      ...presets.filter((preset) => preset.name === recommended),
      ...presets.filter((preset) => preset.name !== recommended),
    ],
    phrases: phrases === null ? null : safeRelative(phrases, section.where),
  };
}

/**
 * Check a manifest. `where` is what errors call it (the address of `bundle.json`).
 * Throws RealmError "bundle" for the first fault. Unknown fields are ignored.
 */
export function parseManifest(json: unknown, where: string): Manifest {
  const manifest = new Section(json, where);
  checkVersion(manifest);
  const name = manifest.string("name");
  const graphs = parseGraphs(manifest.section("graphs"));
  const hasCore = graphs.has("core_text") && graphs.has("core");
  const hasDream = graphs.has("clip_text") && graphs.has("dream");
  if (!hasCore && !hasDream) {
    throw new RealmError("bundle", `${where}: neither CORE nor DREAM is complete; export the bundle again`);
  }
  const files = new Map<string, FileEntry>();
  const listed = manifest.section("files");
  for (const path of Object.keys(listed.data)) {
    const entry = listed.section(safeRelative(path, listed.where));
    files.set(path, { sha256: entry.string("sha256").toLowerCase(), sizeBytes: entry.whole("size_bytes") });
  }
  const core = hasCore ? parseCore(manifest.section("core")) : null;
  const dream = hasDream ? parseDream(manifest.section("dream")) : null;
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
  const licence = manifest.data.licence;
  const weights =
    typeof licence === "object" && licence !== null && "weights" in licence ? licence.weights : "";
  return {
    name,
    description: typeof manifest.data.description === "string" ? manifest.data.description : "",
    weightsLicence: String(weights ?? ""),
    files,
    graphs,
    core,
    dream,
  };
}
