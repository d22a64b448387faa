/** Pixels as a PNG that is not compressed, for a reader in the same browser. */

import { crc32, SIGNATURE } from "./png";

const MOST_STORED = 0xffff; // of a block that deflate stores
const ADLER = 65521;
const ADLER_RUN = 3800; // sums of so many bytes stay exact before they are reduced

/** zlib's stream of bytes that are only stored (RFC 1950, 1951). */
function stored(bytes: Uint8Array): Uint8Array {
  const blocks = Math.max(1, Math.ceil(bytes.length / MOST_STORED));
  const result = new Uint8Array(2 + 5 * blocks + bytes.length + 4);
  result.set([0x78, 0x01]);
  let to = 2;
  for (let block = 0; block < blocks; block++) {
    const part = bytes.subarray(block * MOST_STORED, (block + 1) * MOST_STORED);
    const size = part.length;
    result.set([block === blocks - 1 ? 1 : 0, size & 0xff, size >> 8, ~size & 0xff, (~size >> 8) & 0xff], to);
    result.set(part, to + 5);
    to += 5 + size;
  }
  let [low, high] = [1, 0];
  for (let at = 0; at < bytes.length; at += ADLER_RUN) {
    for (const byte of bytes.subarray(at, at + ADLER_RUN)) {
      low += byte;
      high += low;
    }
    low %= ADLER;
    high %= ADLER;
  }
  new DataView(result.buffer).setUint32(to, high * 65536 + low);
  return result;
}

function chunk(type: string, data: Uint8Array): Uint8Array {
  const result = new Uint8Array(12 + data.length);
  const view = new DataView(result.buffer);
  view.setUint32(0, data.length);
  for (let i = 0; i < 4; i++) result[4 + i] = type.charCodeAt(i);
  result.set(data, 8);
  view.setUint32(8 + data.length, crc32(result.subarray(4, 8 + data.length)));
  return result;
}

/** A PNG of 8 bits without transparency. `samples`: grey or RGB, row by row. `profile`: data of its iCCP chunk. */
export function encodePng(width: number, height: number, samples: Uint8Array, profile: Uint8Array): Blob {
  const channels = samples.length / (width * height);
  const line = width * channels;
  const lines = new Uint8Array(height * (line + 1)); // a 0 before each: no filter
  for (let row = 0; row < height; row++) {
    lines.set(samples.subarray(row * line, (row + 1) * line), row * (line + 1) + 1);
  }
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, channels === 1 ? 0 : 2], 8);
  const parts = [
    Uint8Array.from(SIGNATURE),
    chunk("IHDR", header),
    chunk("iCCP", profile),
    chunk("IDAT", stored(lines)),
    chunk("IEND", new Uint8Array(0)),
  ];
  return new Blob(parts as Uint8Array<ArrayBuffer>[], { type: "image/png" });
}
