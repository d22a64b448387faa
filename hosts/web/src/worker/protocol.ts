/** What the page and its worker say to each other: calls with one answer, events on the way, and cancelling. */

import type { MapConfig } from "../engine/dream";
import type { RealnessMap } from "../engine/engine";
import type { ErrorKind } from "../engine/errors";
import type { Preset } from "../engine/manifest";
import type { Measured } from "../engine/measure";
import type { MeasureSpec } from "../engine/measure-specs";
import type { RuntimeInfo } from "../engine/runtime";

export type Device = "auto" | "webgpu" | "wasm";

export interface BundleFacts {
  readonly name: string;
  readonly description: string;
  readonly weightsLicence: string;
  readonly mapsLicence: string;
  /** Those that the page can compute; the first is the default. */
  readonly measures: readonly MeasureSpec[];
  /** Those that it cannot. `why` goes on after the name; null: it is of a kind that the page does not know. */
  readonly leftOut: readonly { readonly name: string; readonly why: string | null }[];
  readonly canMap: boolean;
  /** The recommended one first. */
  readonly presets: readonly Preset[];
  readonly phrases: readonly string[];
  /** Bytes of the models, and how many of them the browser had kept. */
  readonly bytes: number;
  readonly cachedBytes: number;
}

export interface PictureFacts {
  readonly width: number;
  readonly height: number;
  /** RGBA for the screen. */
  readonly rgba: Uint8ClampedArray<ArrayBuffer>;
  readonly notes: readonly string[];
}

export interface TimedMap extends RealnessMap {
  readonly seconds: number;
  /** How many of them one pass took, 0 where none was needed, and the windows that were pooled from it. */
  readonly spent: { readonly pass: number; readonly pooling: number };
}

/** Each call: what it takes and what it gives. */
export interface Calls {
  /**
   * `page`: the address of the page's folder; `bundle`: that of the bundle's, relative to it; `prune`: forget kept files of
   * it that its manifest lists no more.
   */
  open: { params: { page: string; bundle: string; device: Device; prune: boolean }; result: BundleFacts };
  /** Decode a picture and keep it for the calls that follow. */
  decode: { params: { file: Blob; name: string }; result: PictureFacts };
  /** All measures of the picture, in the order of `BundleFacts.measures`. */
  measure: { params: { text: string }; result: { measured: readonly Measured[] } };
  map: { params: { texts: readonly string[]; config: MapConfig }; result: TimedMap };
}

export type CallName = keyof Calls;

export type Event =
  /** The manifest is good; so many bytes of models follow. */
  | { type: "bundle"; bytes: number }
  | { type: "download"; file: string; done: number; total: number }
  | { type: "opening"; file: string }
  | { type: "windows"; done: number; total: number }
  /** Something to tell the user, such as a text that was cut. */
  | { type: "note"; text: string }
  | { type: "runtime"; info: RuntimeInfo };

export interface Failure {
  /** "bug" is anything that is not the user's to cure; "cancelled" needs no telling. */
  readonly kind: ErrorKind | "cancelled" | "bug";
  readonly message: string;
}

export type ToWorker =
  | { [K in CallName]: { type: "call"; id: number; name: K; params: Calls[K]["params"] } }[CallName]
  | { type: "cancel"; id: number };

export type FromWorker =
  | { type: "result"; id: number; result: Calls[CallName]["result"] }
  | { type: "failure"; id: number; failure: Failure }
  | { type: "event"; id: number; event: Event };
