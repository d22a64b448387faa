/** An opened bundle: a checked manifest, and files whose size and sha256 are compared before anyone uses them. */

import { RealmError } from "./errors";
import { parseJson } from "./json";
import { type JsonLimits, MANIFEST_LIMITS } from "./limits";
import { type FileEntry, graphsOf, type Manifest, parseManifest, presetEncoders } from "./manifest";
import type { MeasureSpec } from "./measure-specs";

export const MANIFEST = "bundle.json";
const PRECISION = "fp32";

/** Where the files of a bundle come from: a folder of a server, a folder on disk (tests). */
export interface BundleSource {
  /** What errors call the bundle: its address. */
  readonly where: string;
  /** Bytes of the manifest, of one that is too long no more than one above `most`. Throws RealmError "bundle" where there is none. */
  readManifest(most: number): Promise<Uint8Array>;
  /** Bytes of a listed file that pass `check`, which throws. Throws RealmError "bundle" where it is missing. */
  read(path: string, entry: FileEntry, check: (bytes: Uint8Array) => Promise<void>): Promise<Uint8Array>;
}

/** Lower-case hexadecimal sha256, null where the browser offers none (no https and not localhost). */
export async function sha256(bytes: Uint8Array): Promise<string | null> {
  if (globalThis.crypto?.subtle === undefined) return null;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Compare a file with its manifest entry. Throws RealmError "bundle". */
export async function checkFile(where: string, bytes: Uint8Array, entry: FileEntry): Promise<void> {
  if (bytes.length !== entry.sizeBytes) {
    throw new RealmError(
      "bundle",
      `${where}: has ${bytes.length} bytes, the manifest says ${entry.sizeBytes}; get the bundle again`,
    );
  }
  const actual = await sha256(bytes);
  if (actual !== null && actual !== entry.sha256) {
    throw new RealmError("bundle", `${where}: wrong checksum (sha256 is ${actual}); get the bundle again`);
  }
}

export class Bundle {
  private constructor(
    private readonly source: BundleSource,
    readonly manifest: Manifest,
  ) {}

  /** Read and check the manifest. Throws RealmError "bundle", one line, for the first fault. */
  static async open(source: BundleSource): Promise<Bundle> {
    const where = `${source.where}${MANIFEST}`;
    const bytes = await source.readManifest(MANIFEST_LIMITS.bytes);
    const json = parseJson(bytes, MANIFEST_LIMITS, where, "valid JSON");
    return new Bundle(source, parseManifest(json, where));
  }

  /** Bytes of a listed file, checked. */
  async read(path: string): Promise<Uint8Array> {
    const entry = this.manifest.files.get(path);
    if (entry === undefined) {
      throw new RealmError(
        "bundle",
        `${this.source.where}: the manifest does not list '${path}'; export the bundle again`,
      );
    }
    return this.source.read(path, entry, (bytes) => checkFile(this.where(path), bytes, entry));
  }

  /** JSON of a listed file. */
  async readJson(path: string, limits: JsonLimits, what: string): Promise<unknown> {
    return parseJson(await this.read(path), limits, this.where(path), what);
  }

  /** The measures that this page can compute; the first is the default. */
  get measures(): MeasureSpec[] {
    return this.manifest.measures.filter((measure) => measure.problem === null);
  }

  /** Files that the engine reads where nobody asks for an encoder, each once. */
  neededFiles(): string[] {
    const { core, dream } = this.manifest;
    const measured = this.measures.flatMap(({ graph, head }) => (head === null ? [graph] : [graph, head]));
    const small = dream?.photographs ? ["photographs"] : [];
    const mapped = dream === null ? [] : ["clip_text", ...presetEncoders(dream).flatMap(graphsOf), ...small];
    const files = [
      ...(core ? [core.text.tokenizer, this.graphFile("core_text"), this.graphFile("core")] : []),
      ...(dream ? [dream.text.tokenizer] : []),
      ...(dream?.phrases ? [dream.phrases] : []),
      ...[...mapped, ...measured].map((graph) => this.graphFile(graph)),
    ];
    return [...new Set(files)];
  }

  /** What errors call a file. */
  where(path: string): string {
    return `${this.source.where}${path}`;
  }

  /** File of a graph. Other precisions are files of other runtimes: the page computes in float32. */
  graphFile(name: string): string {
    const { graphs, name: bundle } = this.manifest;
    const graph = graphs.get(name);
    if (graph === undefined) {
      const has = [...graphs.keys()].join(", ");
      throw new RealmError("bundle", `${bundle}: this bundle has no ${name}; it has ${has}`);
    }
    const file = graph.variants[PRECISION];
    if (file === undefined) {
      const has = Object.keys(graph.variants).join(", ");
      throw new RealmError(
        "bundle",
        `${bundle}: ${name} is not there in ${PRECISION}; this bundle has ${has}`,
      );
    }
    return file;
  }
}
