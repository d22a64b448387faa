/** Arithmetic on decoded pixels: alpha on white, EXIF orientation. Pure functions, as in realm_engine/pictures/decode.py. */

import type { Picture } from "../engine/looker";

/** RGB of straight RGBA composited on white, rounded to the nearest level. */
export function onWhite(rgba: Uint8Array | Uint8ClampedArray): Uint8Array {
  const pixels = rgba.length / 4;
  const rgb = new Uint8Array(3 * pixels);
  for (let i = 0; i < pixels; i++) {
    const alpha = rgba[4 * i + 3]!;
    const white = 255 * (255 - alpha) + 127;
    for (let c = 0; c < 3; c++) rgb[3 * i + c] = Math.floor((rgba[4 * i + c]! * alpha + white) / 255);
  }
  return rgb;
}

/** RGB without the alpha channel. */
export function withoutAlpha(rgba: Uint8Array | Uint8ClampedArray): Uint8Array {
  const pixels = rgba.length / 4;
  const rgb = new Uint8Array(3 * pixels);
  for (let i = 0; i < pixels; i++) {
    rgb[3 * i] = rgba[4 * i]!;
    rgb[3 * i + 1] = rgba[4 * i + 1]!;
    rgb[3 * i + 2] = rgba[4 * i + 2]!;
  }
  return rgb;
}

const ORIENTATION = 0x0112;
const SHORT = 3;

/** The orientation (1..8) in the TIFF structure of EXIF data, 1 where there is none or it is too broken to read. */
export function exifOrientation(data: Uint8Array): number {
  const header = String.fromCharCode(...data.subarray(0, 6)) === "Exif\0\0" ? 6 : 0;
  const bytes = data.subarray(header);
  if (bytes.length < 14) return 1;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const mark = view.getUint16(0);
  if (mark !== 0x4949 && mark !== 0x4d4d) return 1;
  const little = mark === 0x4949;
  const folder = view.getUint32(4, little);
  if (view.getUint16(2, little) !== 42 || folder + 2 > bytes.length) return 1;
  const entries = view.getUint16(folder, little);
  for (let i = 0; i < entries; i++) {
    const at = folder + 2 + 12 * i;
    if (at + 12 > bytes.length) return 1;
    if (view.getUint16(at, little) !== ORIENTATION || view.getUint16(at + 2, little) !== SHORT) continue;
    const value = view.getUint16(at + 8, little);
    return value >= 1 && value <= 8 ? value : 1;
  }
  return 1;
}

/** Apply an EXIF orientation (1..8). */
export function upright(picture: Picture, orientation: number): Picture {
  if (orientation === 1) return picture;
  const { width, height, rgb } = picture;
  const swap = orientation >= 5;
  const outWidth = swap ? height : width;
  const outHeight = swap ? width : height;
  const result = new Uint8Array(rgb.length);
  for (let y = 0; y < outHeight; y++) {
    for (let x = 0; x < outWidth; x++) {
      let sx = swap ? y : x;
      let sy = swap ? x : y;
      // 2, 3, 7, 8 mirror the source's columns; 3, 4, 6, 7 its rows.
      if (orientation === 2 || orientation === 3 || orientation === 7 || orientation === 8)
        sx = width - 1 - sx;
      if (orientation === 3 || orientation === 4 || orientation === 6 || orientation === 7)
        sy = height - 1 - sy;
      const from = 3 * (sy * width + sx);
      const to = 3 * (y * outWidth + x);
      result[to] = rgb[from]!;
      result[to + 1] = rgb[from + 1]!;
      result[to + 2] = rgb[from + 2]!;
    }
  }
  return { width: outWidth, height: outHeight, rgb: result };
}
