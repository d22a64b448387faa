/**
 * PNG to straight RGBA, exactly: a canvas multiplies colours by alpha, applies gamma, and rounds 16 bit samples; the
 * Python engine (Pillow) does none of it. Every colour type, depth and interlacing; of an animation the still image.
 * Decompression is the browser's. Texts, which may be megabytes, are passed over.
 */

export const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const GREY = 0;
const RGB = 2;
const PALETTE = 3;
const GREY_ALPHA = 4;
const RGBA = 6;
const CHANNELS: Record<number, number> = { [GREY]: 1, [RGB]: 3, [PALETTE]: 1, [GREY_ALPHA]: 2, [RGBA]: 4 };
const DEPTHS: Record<number, readonly number[]> = {
  [GREY]: [1, 2, 4, 8, 16],
  [RGB]: [8, 16],
  [PALETTE]: [1, 2, 4, 8],
  [GREY_ALPHA]: [8, 16],
  [RGBA]: [8, 16],
};
/** Adam7: first row, first column, row step, column step of each pass. */
const PASSES = [
  [0, 0, 8, 8],
  [0, 4, 8, 8],
  [4, 0, 8, 4],
  [0, 2, 4, 4],
  [2, 0, 4, 2],
  [0, 1, 2, 2],
  [1, 0, 2, 1],
] as const;

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

export function crc32(bytes: Uint8Array): number {
  let value = 0xffffffff;
  for (const byte of bytes) value = CRC_TABLE[(value ^ byte) & 0xff]! ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}

export interface PngHeader {
  readonly width: number;
  readonly height: number;
}

interface Header extends PngHeader {
  readonly depth: number;
  readonly colour: number;
  readonly interlaced: boolean;
}

export interface DecodedPng extends PngHeader {
  /** uint8 (height, width, 4), straight alpha. */
  readonly rgba: Uint8Array;
  /** Whether the file has an alpha channel or a transparent colour. */
  readonly hasAlpha: boolean;
  /** Bytes of the eXIf chunk, null where there is none. */
  readonly exif: Uint8Array | null;
  /** Bytes of the iCCP chunk, the colour profile that the pixels still have; null where there is none. */
  readonly profile: Uint8Array | null;
  /** Whether the file holds grey samples, which its profile is then about. */
  readonly grey: boolean;
}

function readHeader(data: Uint8Array): Header {
  if (data.length < 13) throw new Error("the header is too short");
  const view = new DataView(data.buffer, data.byteOffset);
  const depth = data[8]!;
  const colour = data[9]!;
  if (!DEPTHS[colour]?.includes(depth)) throw new Error(`colour type ${colour} of ${depth} bits`);
  if (data[10] !== 0 || data[11] !== 0 || data[12]! > 1)
    throw new Error("unknown compression or interlacing");
  return { width: view.getUint32(0), height: view.getUint32(4), depth, colour, interlaced: data[12] === 1 };
}

async function inflate(parts: Uint8Array[], expected: number): Promise<Uint8Array> {
  const stream = new Blob(parts as Uint8Array<ArrayBuffer>[]).stream();
  const reader = stream.pipeThrough(new DecompressionStream("deflate")).getReader();
  const result = new Uint8Array(expected);
  let at = 0;
  while (at < expected) {
    let step: { done: boolean; value?: Uint8Array | undefined };
    try {
      step = await reader.read();
    } catch {
      throw new Error("image file is truncated or its compressed data is broken");
    }
    if (step.done || step.value === undefined) throw new Error("image file is truncated");
    const part = step.value.subarray(0, expected - at);
    result.set(part, at);
    at += part.length;
  }
  reader.cancel().catch(() => {});
  return result;
}

function paeth(a: number, b: number, c: number): number {
  const estimate = a + b - c;
  const toA = Math.abs(estimate - a);
  const toB = Math.abs(estimate - b);
  const toC = Math.abs(estimate - c);
  if (toA <= toB && toA <= toC) return a;
  return toB <= toC ? b : c;
}

/** Undo the filter of `rows` lines of `stride` bytes (a filter byte before each), in place. */
function unfilter(data: Uint8Array, start: number, rows: number, stride: number, step: number): void {
  for (let row = 0; row < rows; row++) {
    const line = start + row * (stride + 1) + 1;
    const above = line - stride - 1;
    const filter = data[line - 1]!;
    if (filter === 0) continue;
    if (filter > 4) throw new Error(`unknown filter ${filter}`);
    for (let i = 0; i < stride; i++) {
      const left = i >= step ? data[line + i - step]! : 0;
      const up = row > 0 ? data[above + i]! : 0;
      let guess = 0;
      if (filter === 1) guess = left;
      else if (filter === 2) guess = up;
      else if (filter === 3) guess = (left + up) >> 1;
      else guess = paeth(left, up, row > 0 && i >= step ? data[above + i - step]! : 0);
      data[line + i] = (data[line + i]! + guess) & 0xff;
    }
  }
}

type Paint = (line: number, x: number, to: number) => void;

/** How to turn the sample at pixel `x` of the line at byte `line` into RGBA at `to`. */
function painter(
  header: Header,
  data: Uint8Array,
  rgba: Uint8Array,
  palette: Uint8Array,
  trns: Uint8Array,
): Paint {
  const { depth, colour } = header;
  const bytes = depth === 16 ? 2 : 1;
  // 16 bit samples keep their high byte, as in Pillow; a transparent colour is compared in all 16 bits.
  const key = Array.from({ length: trns.length >> 1 }, (_, i) => (trns[2 * i]! << 8) | trns[2 * i + 1]!);
  const sample = (at: number) => (bytes === 2 ? (data[at]! << 8) | data[at + 1]! : data[at]!);
  if (colour === PALETTE || (colour === GREY && depth < 8)) {
    const mask = (1 << depth) - 1;
    return (line, x, to) => {
      const shift = 8 - depth - ((x * depth) & 7);
      const value = (data[line + ((x * depth) >> 3)]! >> shift) & mask;
      if (colour === PALETTE) {
        if (3 * value >= palette.length) throw new Error("a colour outside the palette");
        rgba.set(palette.subarray(3 * value, 3 * value + 3), to);
        rgba[to + 3] = trns[value] ?? 255;
      } else {
        rgba.fill((value * 255) / mask, to, to + 3);
        rgba[to + 3] = key.length > 0 && key[0] === value ? 0 : 255;
      }
    };
  }
  const channels = CHANNELS[colour]!;
  const colours = channels >= 3 ? 3 : 1;
  const withAlpha = colour === GREY_ALPHA || colour === RGBA;
  const hasKey = key.length >= colours && !withAlpha;
  return (line, x, to) => {
    const at = line + x * channels * bytes;
    for (let c = 0; c < 3; c++) rgba[to + c] = data[at + (colours === 3 ? c : 0) * bytes]!;
    let alpha = withAlpha ? data[at + colours * bytes]! : 255;
    if (hasKey) {
      let same = true;
      for (let c = 0; c < colours; c++) same &&= sample(at + c * bytes) === key[c];
      if (same) alpha = 0;
    }
    rgba[to + 3] = alpha;
  };
}

/**
 * Decode a PNG. `checkSize` sees the size before any pixel is made room for.
 * Throws Error, saying what is wrong, for a truncated or damaged file.
 */
export async function decodePng(
  bytes: Uint8Array,
  checkSize: (header: PngHeader) => void,
): Promise<DecodedPng> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let header: Header | null = null;
  let palette = new Uint8Array(0);
  let trns: Uint8Array | null = null;
  let exif: Uint8Array | null = null;
  let profile: Uint8Array | null = null;
  const compressed: Uint8Array[] = [];
  for (let at = SIGNATURE.length; at + 8 <= bytes.length; ) {
    const length = view.getUint32(at);
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const end = at + 8 + length;
    const critical = type.charCodeAt(0) < 0x60;
    const data = bytes.subarray(at + 8, Math.min(end, bytes.length));
    if (end + 4 <= bytes.length) {
      if (critical && crc32(bytes.subarray(at + 4, end)) !== view.getUint32(end)) {
        throw new Error(`broken PNG file (bad header checksum in ${type})`);
      }
    } else if (type !== "IDAT") {
      throw new Error("image file is truncated");
    }
    if (type === "IHDR") {
      header = readHeader(data);
      checkSize(header);
    } else if (type === "PLTE") palette = Uint8Array.from(data);
    else if (type === "tRNS") trns = data;
    else if (type === "eXIf") exif = data;
    else if (type === "iCCP") profile = data;
    else if (type === "IDAT") compressed.push(data);
    else if (type === "IEND") break;
    at = end + 4;
  }
  if (header === null) throw new Error("the header is missing");
  const { width, height, depth, colour, interlaced } = header;
  if (compressed.length === 0) throw new Error("image file is truncated");
  if (colour === PALETTE && palette.length === 0) throw new Error("the palette is missing");

  const bits = CHANNELS[colour]! * depth;
  const passes = (interlaced ? PASSES : [[0, 0, 1, 1] as const])
    .map(([top, left, down, across]) => {
      const rows = Math.max(0, Math.ceil((height - top) / down));
      const columns = Math.max(0, Math.ceil((width - left) / across));
      return { top, left, down, across, rows, columns, stride: Math.ceil((columns * bits) / 8) };
    })
    .filter((pass) => pass.rows > 0 && pass.columns > 0);
  const size = passes.reduce((sum, pass) => sum + pass.rows * (pass.stride + 1), 0);
  const data = await inflate(compressed, size);
  const rgba = new Uint8Array(4 * width * height);
  const paint = painter(header, data, rgba, palette, trns ?? new Uint8Array(0));
  let start = 0;
  for (const pass of passes) {
    unfilter(data, start, pass.rows, pass.stride, Math.max(1, bits >> 3));
    for (let row = 0; row < pass.rows; row++) {
      const line = start + row * (pass.stride + 1) + 1;
      const base = (pass.top + row * pass.down) * width + pass.left;
      for (let x = 0; x < pass.columns; x++) paint(line, x, 4 * (base + x * pass.across));
    }
    start += pass.rows * (pass.stride + 1);
  }
  const deepGrey = colour === GREY && depth === 16; // Pillow ignores a transparent grey of 16 bits
  const hasAlpha = colour === GREY_ALPHA || colour === RGBA || (trns !== null && !deepGrey);
  const grey = colour === GREY || colour === GREY_ALPHA;
  return { width, height, rgba, hasAlpha, exif, profile, grey };
}
