/** What several tests read: the golden vectors, the embedded bundle, a runtime for Node. */

import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import * as ort from "onnxruntime-web";
import { onWhite } from "../src/decode/pixels";
import { decodePng } from "../src/decode/png";
import type { BundleSource } from "../src/engine/bundle";
import type { Steps } from "../src/engine/encoders";
import type { Picture } from "../src/engine/looker";
import { Runtime } from "../src/engine/runtime";

export const REPOSITORY = path.resolve(fileURLToPath(import.meta.url), "../../../..");
export const BUNDLE = path.join(REPOSITORY, "realm_engine/bundles/realm-tiny");
export const GOLDEN = process.env.REALM_GOLDEN ?? path.join(REPOSITORY, "tests/golden");

export interface Golden {
  tolerances: {
    preprocessing_levels: number;
    embedding_cosine: number;
    map_max_abs: number;
    similarity_max_abs: number;
    mos_max_abs: number;
    p_fake_max_abs: number;
    unlike_max_abs: number;
  };
  tokens: { tokenizer: "wordpiece" | "clip"; text: string; ids: number[]; padded_length: number }[];
  decoding: { file: string; rgb: string; max_levels: number }[];
  preprocessing: {
    image: string;
    top: number;
    left: number;
    height: number;
    width: number;
    out_height: number;
    out_width: number;
    interpolation: "bicubic" | "bilinear";
    pixels: string;
  }[];
  embeddings: { text: string; core: number[]; clip: number[] }[];
  similarities: {
    image: string;
    texts: string[];
    window_px: number;
    top: number[];
    left: number[];
    values: number[][];
  }[];
  scores: { image: string; text: string | null; mos: number; realness: number }[];
  probes: { image: string; p_fake: number; real_fake_unlike: number; verdict: string }[];
  maps: {
    image: string;
    texts: string[];
    windows_px: number[];
    stride_px: number;
    aggregate: "mean" | "max";
    quantity: "realness" | "similarity";
    encoder: "each-window" | "one-pass";
    values: string;
  }[];
}

export function readGolden(): Golden {
  return JSON.parse(fs.readFileSync(path.join(GOLDEN, "golden.json"), "utf8"));
}

/** Pixels of a PNG of the golden vectors. */
export async function goldenPicture(file: string): Promise<Picture> {
  const png = await decodePng(new Uint8Array(fs.readFileSync(path.resolve(GOLDEN, file))), () => {});
  return { width: png.width, height: png.height, rgb: onWhite(png.rgba) };
}

/** Values and shape of a float32 .npy file of version 1.0. */
export function readNpy(bytes: Uint8Array): { values: Float32Array; shape: number[] } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = 10 + view.getUint16(8, true);
  const header = new TextDecoder().decode(bytes.subarray(10, start));
  if (!header.includes("'<f4'") || !header.includes("False"))
    throw new Error(`not float32, C order: ${header}`);
  const shape = (/\(([^)]*)\)/.exec(header)?.[1] ?? "")
    .split(",")
    .filter((n) => n.trim() !== "")
    .map(Number);
  const values = Float32Array.from({ length: (bytes.length - start) / 4 }, (_, i) =>
    view.getFloat32(start + 4 * i, true),
  );
  return { values, shape };
}

/** A bundle in a folder on disk. */
export function folderSource(folder: string): BundleSource {
  const read = async (name: string) => new Uint8Array(fs.readFileSync(path.join(folder, name)));
  return {
    where: "bundle/",
    readManifest: () => read("bundle.json"),
    read: async (name, _entry, check) => {
      const bytes = await read(name);
      await check(bytes);
      return bytes;
    },
  };
}

/** ONNX Runtime's WebAssembly in Node: the arithmetic of the page without a browser. */
export function nodeRuntime(): Runtime {
  ort.env.wasm.numThreads = 1;
  const loader = { ort, provider: "wasm", threads: 1 } as const;
  return new Runtime(loader, async () => loader);
}

export const QUIET: Steps = { progress: () => {}, pause: async () => {} };

export function maxDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  let most = 0;
  for (let i = 0; i < a.length; i++) {
    // Where no window is, both maps are NaN.
    const difference = Number.isNaN(a[i]!) && Number.isNaN(b[i]!) ? 0 : Math.abs(a[i]! - b[i]!);
    if (!(difference <= most)) most = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference;
  }
  return most;
}
