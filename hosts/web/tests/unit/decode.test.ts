/** PNG files cut and broken anywhere, EXIF orientation, transparency, and what a file is by its bytes. */

import fs from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { inspect } from "../../src/decode/formats";
import { exifOrientation, onWhite, upright } from "../../src/decode/pixels";
import { decodePng } from "../../src/decode/png";
import { REPOSITORY } from "../helpers";

const png = new Uint8Array(fs.readFileSync(path.join(REPOSITORY, "samples/cat-doubled.png")));
const jpeg = new Uint8Array(fs.readFileSync(path.join(REPOSITORY, "samples/coffee.jpg")));

test("a PNG that is cut anywhere is an error, never a grey block", async () => {
  const cuts = Array.from({ length: 40 }, (_, i) => Math.floor((i / 40) * (png.length - 20)));
  for (const cut of [...cuts, 0, 8, 9, 16, 33, 40]) {
    await expect(
      decodePng(png.slice(0, cut), () => {}),
      `cut at ${cut}`,
    ).rejects.toThrow();
  }
});

test("a PNG with a flipped byte is an error", async () => {
  for (let at = 0; at < png.length - 20; at += 5003) {
    const broken = png.slice();
    broken[at]! ^= 0x55;
    // Byte 0 is the signature, which is looked at before anyone decodes.
    if (at > 0)
      await expect(
        decodePng(broken, () => {}),
        `byte ${at}`,
      ).rejects.toThrow();
  }
});

test("the size is checked before room is made for pixels", async () => {
  const refuse = () => {
    throw new Error("too large");
  };
  await expect(decodePng(png, refuse)).rejects.toThrow("too large");
});

/** EXIF data that hold an orientation, in either byte order. */
function exif(orientation: number, little: boolean): Uint8Array {
  const bytes = new Uint8Array(26);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, little ? 0x4949 : 0x4d4d);
  view.setUint16(2, 42, little);
  view.setUint32(4, 8, little);
  view.setUint16(8, 1, little);
  view.setUint16(10, 0x0112, little);
  view.setUint16(12, 3, little);
  view.setUint32(14, 1, little);
  view.setUint16(18, orientation, little);
  return bytes;
}

test("orientation is read in both byte orders; what is broken counts as none", () => {
  for (const little of [true, false]) {
    for (let value = 1; value <= 8; value++) expect(exifOrientation(exif(value, little))).toBe(value);
    expect(exifOrientation(exif(9, little))).toBe(1);
    for (let cut = 0; cut < 22; cut++) expect(exifOrientation(exif(6, little).slice(0, cut))).toBe(1);
  }
});

test.each([
  [1, "AB/CD/EF"],
  [2, "BA/DC/FE"],
  [3, "FE/DC/BA"],
  [4, "EF/CD/AB"],
  [5, "ACE/BDF"],
  [6, "ECA/FDB"],
  [7, "FDB/ECA"],
  [8, "BDF/ACE"],
])("orientation %i", (orientation, expected) => {
  const rgb = Uint8Array.from("ABCDEF", (letter) => letter.charCodeAt(0)).reduce<number[]>(
    (all, code) => all.concat(code, code, code),
    [],
  );
  const turned = upright({ width: 2, height: 3, rgb: Uint8Array.from(rgb) }, orientation);
  const letters = Array.from({ length: 6 }, (_, i) => String.fromCharCode(turned.rgb[3 * i]!)).join("");
  const rows = letters.match(new RegExp(`.{${turned.width}}`, "g"))!.join("/");
  expect(rows).toBe(expected);
});

test("transparency lies on white, rounded to the nearest level", () => {
  const rgba = Uint8Array.of(0, 100, 255, 0, 10, 20, 30, 255, 0, 0, 0, 128, 200, 100, 50, 1);
  expect([...onWhite(rgba)]).toEqual([255, 255, 255, 10, 20, 30, 127, 127, 127, 255, 254, 254]);
});

test("files are known by their bytes", () => {
  expect(inspect(jpeg)).toMatchObject({ format: "jpeg", truncated: false, size: [512, 341] });
  expect(inspect(jpeg.slice(0, -2))).toMatchObject({ format: "jpeg", truncated: true });
  expect(inspect(png)).toMatchObject({ format: "png" });
  expect(inspect(new TextEncoder().encode("<svg/>"))).toBeNull();
  expect(inspect(new Uint8Array(0))).toBeNull();
  for (const start of ["RIFF\0\0\0\0WEBP", "BM", "GIF89a", "II*\0", "\xff\xd8\xff"]) {
    const bytes = Uint8Array.from(start, (char) => char.charCodeAt(0));
    expect(inspect(bytes), start).not.toBeNull(); // and no exception for a file that is all header
  }
});

const jpegs = process.env.REALM_JPEGS;

test.runIf(jpegs)("a JPEG is whole where the other hosts say so", () => {
  const names = fs.readdirSync(jpegs!);
  expect(names.length).toBeGreaterThan(50);
  for (const name of names) {
    const facts = inspect(new Uint8Array(fs.readFileSync(path.join(jpegs!, name))));
    expect(facts?.truncated, name).toBe(name.startsWith("broken"));
  }
});
