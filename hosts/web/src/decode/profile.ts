/**
 * The colour profile of a PNG: its pixels become sRGB. Browsers convert what they decode, so this one is handed the
 * pixels that were decoded exactly, without their transparency, together with the profile.
 */

import { pixelsOf } from "./canvas";
import type { DecodedPng } from "./png";
import { encodePng } from "./png-writer";

/** Levels that a profile which means sRGB may differ by: such pictures stay as they are, to the last bit. */
const SAME_LEVELS = 1;
const GRID_STEPS = 6; // levels of each channel that are tried for it: 0, 51, ..., 255

async function converted(
  width: number,
  height: number,
  samples: Uint8Array,
  profile: Uint8Array,
): Promise<Uint8ClampedArray> {
  const bitmap = await createImageBitmap(encodePng(width, height, samples, profile));
  try {
    return pixelsOf(bitmap);
  } finally {
    bitmap.close();
  }
}

/** Some colours of every kind, grey or RGB. */
function grid(grey: boolean): Uint8Array {
  if (grey) return Uint8Array.from({ length: 256 }, (_, level) => level);
  const level = (step: number) => (step * 255) / (GRID_STEPS - 1);
  return Uint8Array.from({ length: 3 * GRID_STEPS ** 3 }, (_, at) => {
    const colour = Math.floor(at / 3);
    return level(Math.floor(colour / GRID_STEPS ** (2 - (at % 3))) % GRID_STEPS);
  });
}

/** Whether a browser changes colours of a profile; not those of one that it cannot read. */
async function matters(profile: Uint8Array, grey: boolean): Promise<boolean> {
  const colours = grid(grey);
  const channels = grey ? 1 : 3;
  const width = colours.length / channels;
  const found = await converted(width, 1, colours, profile).catch(() => null);
  if (found === null) return false;
  for (let at = 0; at < 3 * width; at++) {
    const [colour, channel] = [Math.floor(at / 3), at % 3];
    const before = colours[grey ? colour : at]!;
    if (Math.abs(found[4 * colour + channel]! - before) > SAME_LEVELS) return true;
  }
  return false;
}

/** Straight RGBA of a PNG, its colours sRGB. */
export async function inSrgb({ width, height, rgba, profile, grey }: DecodedPng): Promise<Uint8Array> {
  if (profile === null || !(await matters(profile, grey))) return rgba;
  const channels = grey ? 1 : 3;
  const samples = new Uint8Array(channels * width * height);
  for (let from = 0, to = 0; from < rgba.length; from += 4, to += channels) {
    for (let c = 0; c < channels; c++) samples[to + c] = rgba[from + c]!;
  }
  const result = new Uint8Array(await converted(width, height, samples, profile));
  for (let at = 3; at < rgba.length; at += 4) result[at] = rgba[at]!;
  return result;
}
