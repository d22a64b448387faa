/**
 * A picture file -> upright RGB, the pixels that the Python engine sees.
 *
 * PNG is decoded here, exactly. JPEG, WebP, BMP and GIF are the browser's business: its JPEG decoder may round
 * differently by a level or two. Colours of an embedded profile become sRGB, by the browser. TIFF is refused, as browsers
 * do not read it.
 */

import { messageOf, RealmError } from "../engine/errors";
import { MOST_FILE_BYTES, MOST_PICTURE_SIDE_PX, MOST_SCANS } from "../engine/limits";
import type { Picture } from "../engine/looker";
import { canvasIsHonest, pixelsOf } from "./canvas";
import { type Facts, inspect } from "./formats";
import { exifOrientation, onWhite, upright, withoutAlpha } from "./pixels";
import { decodePng } from "./png";
import { inSrgb } from "./profile";

/** Largest picture. The graph of CORE makes floats of all pixels, 12 bytes each, and WebAssembly ends at 4 GB. */
export const MAX_MEGAPIXELS = 50;
const READABLE = "PNG, JPEG, WebP, BMP, GIF";

export interface Decoded {
  readonly picture: Picture;
  /** What this browser could not do exactly. */
  readonly notes: readonly string[];
}

function checkSize(name: string, width: number, height: number): void {
  if (width === 0 || height === 0) {
    throw new RealmError("image", `${name}: empty image, ${width} x ${height} pixels`);
  }
  if (Math.max(width, height) > MOST_PICTURE_SIDE_PX && width * height <= MAX_MEGAPIXELS * 1e6) {
    throw new RealmError(
      "image",
      `${name}: ${width} x ${height} has a side beyond ${MOST_PICTURE_SIDE_PX} pixels; cut it into pieces`,
    );
  }
  if (width * height > MAX_MEGAPIXELS * 1e6) {
    throw new RealmError(
      "image",
      `${name}: ${width} x ${height} is more than ${MAX_MEGAPIXELS} megapixels; scale it down first`,
    );
  }
}

/** Decode a picture. Throws RealmError "image", which names it, for anything that is none. */
export async function decodePicture(file: Blob, name: string): Promise<Decoded> {
  if (file.size === 0) throw new RealmError("image", `${name}: the file is empty (0 bytes)`);
  if (file.size > MOST_FILE_BYTES) {
    throw new RealmError("image", `${name}: more than 1 GiB is no photograph; scale it down first`);
  }
  try {
    const bytes = new Uint8Array(await file.arrayBuffer());
    const facts = inspect(bytes);
    if (facts === null) {
      throw new RealmError("image", `${name}: not an image that can be read (formats: ${READABLE})`);
    }
    if (facts.format === "tiff") {
      throw new RealmError("image", `${name}: a TIFF, which browsers do not read; save it as PNG`);
    }
    if (facts.format === "png") return { picture: await decodeExactly(bytes, name), notes: [] };
    if (facts.size !== null) checkSize(name, ...facts.size);
    if (facts.truncated) throw new Error("image file is truncated");
    if (facts.scans > MOST_SCANS) throw new Error(`more than ${MOST_SCANS} scans`);
    return await decodeByBrowser(bytes as Uint8Array<ArrayBuffer>, facts, name);
  } catch (error) {
    if (error instanceof RealmError) throw error;
    if (error instanceof RangeError) {
      throw new RealmError("image", `${name}: not enough memory to decode it`);
    }
    throw new RealmError("image", `${name}: broken or truncated image (${messageOf(error)})`);
  }
}

async function decodeExactly(bytes: Uint8Array, name: string): Promise<Picture> {
  const png = await decodePng(bytes, ({ width, height }) => checkSize(name, width, height));
  const rgba = await inSrgb(png);
  const rgb = png.hasAlpha ? onWhite(rgba) : withoutAlpha(rgba);
  const orientation = png.exif === null ? 1 : exifOrientation(png.exif);
  return upright({ width: png.width, height: png.height, rgb }, orientation);
}

async function decodeByBrowser(bytes: Uint8Array<ArrayBuffer>, facts: Facts, name: string): Promise<Decoded> {
  const notes: string[] = [];
  if (facts.format === "webp" && facts.alpha) {
    const picture = await decodeStraight(bytes, facts.type);
    if (picture !== null) return { picture, notes };
    notes.push(
      "This browser mixes colours with transparency before anyone can read them: half transparent pixels may be off by some levels.",
    );
  }
  const bitmap = await createImageBitmap(new Blob([bytes], { type: facts.type }), {
    colorSpaceConversion: "default",
    premultiplyAlpha: "none",
    imageOrientation: "from-image",
  });
  try {
    const { width, height } = bitmap;
    checkSize(name, width, height);
    const rgba = pixelsOf(bitmap);
    if (!canvasIsHonest()) {
      notes.push(
        "This browser changes the pixels that pages read, against tracking: numbers may differ. A PNG is read exactly.",
      );
    }
    return { picture: { width, height, rgb: facts.alpha ? onWhite(rgba) : withoutAlpha(rgba) }, notes };
  } finally {
    bitmap.close();
  }
}

interface StraightDecoderInit extends ImageDecoderInit {
  premultiplyAlpha: "none"; // understood by Chromium, not in the types yet
}

/** Straight alpha through WebCodecs, null where the browser has none of it. */
async function decodeStraight(bytes: Uint8Array<ArrayBuffer>, type: string): Promise<Picture | null> {
  if (typeof ImageDecoder === "undefined" || !(await ImageDecoder.isTypeSupported(type))) return null;
  const init: StraightDecoderInit = {
    data: bytes,
    type,
    colorSpaceConversion: "default",
    premultiplyAlpha: "none",
  };
  const decoder = new ImageDecoder(init);
  try {
    const { image } = await decoder.decode();
    const { displayWidth: width, displayHeight: height } = image;
    const rgba = new Uint8Array(4 * width * height);
    await image.copyTo(rgba, { format: "RGBA", colorSpace: "srgb" });
    image.close();
    return { width, height, rgb: onWhite(rgba) };
  } finally {
    decoder.close();
  }
}
