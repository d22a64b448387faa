/** What a picture file is, by its first bytes, and whether all of it is there: browsers show half a JPEG gladly. */

export type Format = "png" | "jpeg" | "webp" | "bmp" | "gif" | "tiff";

export interface Facts {
  readonly format: Format;
  readonly type: string;
  /** Width and height in pixels as stored, null where the header does not tell. */
  readonly size: readonly [number, number] | null;
  readonly truncated: boolean;
  /** Whether pixels may be transparent. */
  readonly alpha: boolean;
  /** Passes over the pixels, of a JPEG; of others 1. */
  readonly scans: number;
}

function ascii(bytes: Uint8Array, from: number, to: number): string {
  return String.fromCharCode(...bytes.subarray(from, to));
}

function sniff(bytes: Uint8Array): Format | null {
  if (ascii(bytes, 0, 4) === "\x89PNG") return "png";
  if (bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff) return "jpeg";
  if (ascii(bytes, 0, 4) === "RIFF" && ascii(bytes, 8, 12) === "WEBP") return "webp";
  if (ascii(bytes, 0, 2) === "BM") return "bmp";
  if (/^GIF8[79]a/.test(ascii(bytes, 0, 6))) return "gif";
  if (["II*\0", "MM\0*"].includes(ascii(bytes, 0, 4))) return "tiff";
  return null;
}

/** Walk the segments of a JPEG: its size stands in the frame header, and a whole file ends with a marker. */
function jpeg(bytes: Uint8Array): Pick<Facts, "size" | "truncated" | "alpha" | "scans"> {
  let size: readonly [number, number] | null = null;
  let ended = false;
  let scans = 0;
  for (let at = 2; at + 1 < bytes.length && !ended; ) {
    if (bytes[at] !== 0xff) {
      at++; // compressed data, in which FF is followed by 0 or by a restart marker
      continue;
    }
    const marker = bytes[at + 1]!;
    if (marker === 0xd9) ended = true;
    if (marker === 0xda) scans++;
    if (marker === 0 || marker === 0xff || marker === 0x01 || (marker >= 0xd0 && marker <= 0xd9)) {
      at += marker === 0xff ? 1 : 2;
      continue;
    }
    const length = ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0);
    const frame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (frame && size === null && at + 9 <= bytes.length) {
      size = [(bytes[at + 7]! << 8) | bytes[at + 8]!, (bytes[at + 5]! << 8) | bytes[at + 6]!];
    }
    at += 2 + Math.max(2, length);
  }
  return { size, truncated: !ended, alpha: false, scans };
}

function webp(bytes: Uint8Array, view: DataView): Pick<Facts, "size" | "truncated" | "alpha"> {
  const truncated = view.getUint32(4, true) + 8 > bytes.length;
  const kind = ascii(bytes, 12, 16);
  if (bytes.length < 30) return { size: null, truncated: true, alpha: false };
  if (kind === "VP8X") {
    const triple = (at: number) => 1 + (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16));
    return { size: [triple(24), triple(27)], truncated, alpha: (bytes[20]! & 0x10) !== 0 };
  }
  if (kind === "VP8L") {
    const bits = view.getUint32(21, true);
    return {
      size: [1 + (bits & 0x3fff), 1 + ((bits >>> 14) & 0x3fff)],
      truncated,
      alpha: (bits >>> 28) % 2 === 1,
    };
  }
  const size = [view.getUint16(26, true) & 0x3fff, view.getUint16(28, true) & 0x3fff] as const;
  return { size, truncated, alpha: false };
}

function bmp(bytes: Uint8Array, view: DataView): Pick<Facts, "size" | "truncated" | "alpha"> {
  if (bytes.length < 34) return { size: null, truncated: true, alpha: false };
  if (view.getUint32(14, true) < 40) return { size: null, truncated: false, alpha: false };
  const [width, height] = [Math.abs(view.getInt32(18, true)), Math.abs(view.getInt32(22, true))];
  const line = Math.ceil((width * view.getUint16(28, true)) / 32) * 4;
  const plain = [0, 3].includes(view.getUint32(30, true));
  const truncated = plain && view.getUint32(10, true) + line * height > bytes.length;
  return { size: [width, height], truncated, alpha: false };
}

/** Facts of a picture file, null where it is none that a browser or the engine reads. */
export function inspect(bytes: Uint8Array): Facts | null {
  const format = sniff(bytes);
  if (format === null) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const common = { format, type: `image/${format}`, scans: 1 };
  switch (format) {
    case "jpeg":
      return { ...common, ...jpeg(bytes) };
    case "webp":
      return { ...common, ...webp(bytes, view) };
    case "bmp":
      return { ...common, ...bmp(bytes, view) };
    case "gif": {
      if (bytes.length < 10) return { ...common, size: null, truncated: true, alpha: true };
      const size = [view.getUint16(6, true), view.getUint16(8, true)] as const;
      // Its pixels are opaque or not there at all: a canvas loses nothing.
      return { ...common, size, truncated: !bytes.subarray(-4).includes(0x3b), alpha: true };
    }
    default:
      return { ...common, size: null, truncated: false, alpha: true };
  }
}
