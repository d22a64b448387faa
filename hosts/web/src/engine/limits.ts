/** The most of everything that a stranger's file may ask for: as in the other hosts, docs/bundle.md lists them. */

const MIB = 1 << 20;

export interface JsonLimits {
  readonly bytes: number;
  readonly members: number;
}

export const MOST_DEPTH = 100;
export const MANIFEST_LIMITS: JsonLimits = { bytes: 4 * MIB, members: 20_000 };
export const TOKENIZER_LIMITS: JsonLimits = { bytes: 64 * MIB, members: 2_000_000 };
export const MOST_PHRASES = 1024;
export const MOST_PHRASE_CHARACTERS = 1000;
export const PHRASES_LIMITS: JsonLimits = MANIFEST_LIMITS;

/** Files of a bundle, axes of a tensor, entries of a list of whole numbers and the largest, window sizes of a preset. */
export const MOST_FILES = 128;
export const MOST_DIMENSIONS = 8;
export const MOST_SIZES = 64;
export const MOST_WHOLE = 2147483647;
export const MOST_SCALES = 8;
/** Further from 0 than any range or slope. */
export const MOST_NUMBER = 1e12;
/** Of a preset: who asks for less by himself knows what it costs, who opens a bundle does not. */
export const LEAST_WINDOW_PX = 8;
export const LEAST_STRIDE_PX = 4;

/** A side of what a graph takes: beyond it a resample matrix alone would fill the memory. */
export const MOST_SIDE_PX = 1 << 14;
export const MOST_WINDOW_PX = 1 << 30;
/** Of one text. */
export const MOST_TOKENS = 1 << 16;

/** A file of a bundle or a picture, whose bytes are held at once. */
export const MOST_FILE_BYTES = 1 << 30;
/** Scans of a JPEG: a progressive one of many empty scans would take minutes. */
export const MOST_SCANS = 500;
/** A cosine, and what float16 makes of one. */
export const MOST_COSINE = 1.01;
/** Of cosines; less is float32's own rounding. */
export const LEAST_STD = 1e-6;
/** How often its width a number may lie outside of its column's range. */
export const MOST_RANGES = 100;
/** Longest side of a picture. */
export const MOST_PICTURE_SIDE_PX = 100_000;
