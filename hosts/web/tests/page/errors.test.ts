/** Bad pictures, windows, texts and bundles: a readable message, and the page goes on. */

import fs from "node:fs";
import path from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BUNDLE, GOLDEN, REPOSITORY } from "../helpers";
import { alertText, choose, run, settled, upload, visit } from "./actions";
import { launch, UNKEPT } from "./browser";
import { type Site, serve } from "./server";

const CAT = path.join(REPOSITORY, "samples/cat-doubled.png");
const COFFEE = path.join(REPOSITORY, "samples/coffee.jpg");

let browser: Browser;
let site: Site;

beforeAll(async () => {
  browser = await launch();
  site = await serve();
});

afterAll(async () => {
  await browser.close();
  await site.close();
});

describe("pictures, windows and texts", () => {
  let page: Page;

  beforeAll(async () => {
    page = await browser.newPage(UNKEPT);
    await visit(page, site.url);
  });

  /** A PNG whose header claims another size; its checksum is right. */
  function claiming(width: number, height: number): Buffer {
    const header = Buffer.alloc(17);
    header.write("IHDR");
    header.writeUInt32BE(width, 4);
    header.writeUInt32BE(height, 8);
    header.set([8, 2, 0, 0, 0], 12);
    let crc = 0xffffffff;
    for (const byte of header) {
      crc ^= byte;
      for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? 0xedb88320 ^ (crc >>> 1) : crc >>> 1;
    }
    const ending = Buffer.alloc(4);
    ending.writeUInt32BE((crc ^ 0xffffffff) >>> 0);
    return Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n\0\0\0\r", "latin1"), header, ending]);
  }

  const png = fs.readFileSync(CAT);
  const jpeg = fs.readFileSync(COFFEE);
  test.each([
    ["nothing.png", Buffer.alloc(0), "nothing.png: the file is empty (0 bytes)"],
    ["words.jpg", Buffer.from("these are words"), "words.jpg: not an image that can be read (formats: PNG, "],
    ["half.png", png.subarray(0, png.length >> 1), "half.png: broken or truncated image ("],
    ["half.jpg", jpeg.subarray(0, jpeg.length >> 1), "half.jpg: broken or truncated image ("],
    ["huge.png", claiming(20000, 20000), "huge.png: 20000 x 20000 is more than 50 megapixels; scale it down"],
    [
      "scan.tif",
      Buffer.from("II*\0rest of it"),
      "scan.tif: a TIFF, which browsers do not read; save it as PNG",
    ],
    [
      "drawing.svg",
      Buffer.from("<svg xmlns='http://www.w3.org/2000/svg'/>"),
      "drawing.svg: not an image that can",
    ],
  ])("%s", async (name, content, message) => {
    await choose(page, upload(name, content));
    expect(await alertText(page)).toContain(message);
    expect(await page.locator("#alert").getAttribute("role")).toBe("alert");
  });

  test("an error about a picture takes the place of the picture before it, and the page goes on", async () => {
    await choose(page, COFFEE);
    await settled(page);
    expect(await page.locator("#alert").isHidden()).toBe(true);
    expect(await page.locator("#map").isVisible()).toBe(true);
    await choose(page, upload("words.jpg", Buffer.from("these are words")));
    await alertText(page);
    await expectNoPicture();
    await choose(page, COFFEE);
    await settled(page);
    expect(await page.locator("#alert").isHidden()).toBe(true);
    expect(await page.locator("#score").isVisible()).toBe(true);
    expect(await page.locator("#map").isVisible()).toBe(true);
  });

  async function expectNoPicture(): Promise<void> {
    for (const gone of ["#stage", "#score", "#map", "#result-tools"])
      expect(await page.locator(gone).isHidden(), gone).toBe(true);
    expect(await page.locator("#empty").isVisible()).toBe(true);
    expect(await page.locator("#score-empty").isVisible()).toBe(true);
    expect(await page.locator("#run").isDisabled()).toBe(true);
  }

  test("something dropped that is no file, and a sample that is gone, leave no older picture either", async () => {
    await choose(page, COFFEE);
    await settled(page);
    await page.evaluate(() => {
      const data = new DataTransfer();
      data.setData("text/plain", "words");
      document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true }));
    });
    expect(await alertText(page)).toBe("nothing was dropped that is a file; drop a picture");
    await expectNoPicture();
    await choose(page, COFFEE);
    await settled(page);
    site.change = (file, content) => (file === "samples/coffee.jpg" ? null : content);
    await page.click("[aria-label='Sample: a cup of coffee']");
    expect(await alertText(page)).toContain("samples/coffee.jpg: cannot be fetched");
    site.change = (_, content) => content;
    await expectNoPicture();
  });

  test("a window larger than the picture, in the words of the Python engine; the score is there", async () => {
    await choose(page, path.join(GOLDEN, "images/tiny.png"));
    await settled(page);
    const { width, height } = await page.locator("#image").evaluate((image) => ({
      width: (image as HTMLCanvasElement).width,
      height: (image as HTMLCanvasElement).height,
    }));
    await page.fill("#windows", "512");
    await page.locator("#windows").blur();
    const words =
      `a window of 512 px does not fit an image of ${width} x ${height} px; ` +
      `the largest that fits is ${Math.min(width, height)} px`;
    expect(await page.textContent("#estimate")).toBe(words);
    await page.click("#run");
    expect(await alertText(page)).toBe(words);
    expect(await page.locator("#score").isVisible()).toBe(true); // of this picture, measured anew
    expect(await page.locator("#map").isHidden()).toBe(true); // the one of other windows
  });

  test.each([
    ["64, 64", "window sizes (64, 64) repeat; give each once"],
    ["sixty", "window sizes and stride must be whole numbers from 1, not NaN"],
    ["", "no window size given; give at least one, such as 64"],
    ["0", "window sizes and stride must be whole numbers from 1, not 0"],
  ])("windows %j", async (windows, message) => {
    await settled(page);
    await page.fill("#windows", windows);
    await page.locator("#windows").blur();
    await page.click("#run");
    await settled(page);
    expect(await alertText(page)).toBe(message);
  });

  test("a text that is too long is cut, and that is said", async () => {
    await choose(page, COFFEE);
    await run(page, {
      texts: [`first ${"word ".repeat(300)}`],
      windowsPx: [64],
      stridePx: 200,
      aggregate: "mean",
    });
    expect(await page.textContent("#notes")).toContain(
      "a text of 303 tokens is cut to the first 128: 'first word word word word word word word'...".slice(
        0,
        60,
      ),
    );
  });
});

describe("bundles", () => {
  const manifest = fs.readFileSync(path.join(BUNDLE, "bundle.json"), "utf8");
  const edited = (edit: (json: Record<string, never>) => void) => {
    const json = JSON.parse(manifest);
    edit(json);
    return Buffer.from(JSON.stringify(json));
  };
  const flipped = (content: Buffer) => {
    const copy = Buffer.from(content);
    copy[copy.length >> 1]! ^= 1;
    return copy;
  };
  const coreBytes = fs.statSync(path.join(BUNDLE, "core.onnx")).size;
  const faults: [string, string, (content: Buffer) => Buffer | null, string][] = [
    [
      "a missing manifest",
      "bundle.json",
      () => null,
      "bundle/: no bundle.json there (HTTP 404); give the folder",
    ],
    ["no JSON", "bundle.json", (c) => c.subarray(0, 999), "bundle/bundle.json: not valid JSON ("],
    [
      "a newer format",
      "bundle.json",
      () => edited((m) => Object.assign(m, { format_version: "2.0" })),
      "bundle/bundle.json: format version 2.0, but this engine reads 1.x; update realm-engine",
    ],
    [
      "a path that leaves",
      "bundle.json",
      () => edited((m) => Object.assign(m.files, { "../x": {} })),
      "bundle/bundle.json, 'files': the path '../x' leaves the bundle; do not use",
    ],
    [
      "a missing field",
      "bundle.json",
      () => edited((m) => Reflect.deleteProperty(m, "name")),
      "bundle/bundle.json: 'name' is missing; export the bundle again",
    ],
    [
      "a missing model",
      "bundle/core.onnx".slice(7),
      () => null,
      "bundle/core.onnx: is missing; get the bundle again",
    ],
    [
      "a short model",
      "core.onnx",
      (c) => c.subarray(0, -1),
      `bundle/core.onnx: has ${coreBytes - 1} bytes, the manifest says ${coreBytes}; get the`,
    ],
    ["a flipped bit", "trunk.onnx", flipped, "bundle/trunk.onnx: wrong checksum (sha256 is "],
    [
      "a tokenizer of words",
      "tokenizer.json",
      (c) => Buffer.alloc(c.length, 32),
      "bundle/tokenizer.json: wrong checksum (",
    ],
  ];

  test.each(faults)("%s", async (_, file, change, message) => {
    const context = await browser.newContext(UNKEPT); // its own cache: nothing good is kept from before
    const page = await context.newPage();
    site.change = (name, content) => (name === `bundle/${file}` ? change(content) : content);
    await page.goto(site.url);
    expect(await alertText(page)).toContain(message);
    expect(await page.locator("#run").isDisabled()).toBe(true);
    site.change = (_, content) => content;
    await context.close();
  });

  test("a model that is no model although its checksum is right", async () => {
    const page = await (await browser.newContext(UNKEPT)).newPage();
    const junk = Buffer.alloc(1000, 7);
    const digest = Buffer.from(await crypto.subtle.digest("SHA-256", junk)).toString("hex");
    const listed = edited((m) =>
      Object.assign(m.files, { "trunk.onnx": { sha256: digest, size_bytes: 1000 } }),
    );
    site.change = (name, content) =>
      name === "bundle/bundle.json" ? listed : name === "bundle/trunk.onnx" ? junk : content;
    await page.goto(site.url);
    expect(await alertText(page)).toMatch(
      /^bundle\/trunk\.onnx: ONNX Runtime cannot open it \(.*\); export the bundle/,
    );
    site.change = (_, content) => content;
    await page.context().close();
  });

  test("another server's bundle is refused", async () => {
    const page = await browser.newPage(UNKEPT);
    await page.goto(`${site.url}?bundle=http://127.0.0.2:9/bundle/`);
    expect(await alertText(page)).toContain("another server; this page talks to its own only");
    await page.close();
  });

  test("another folder's bundle is opened", async () => {
    const page = await (await browser.newContext(UNKEPT)).newPage();
    site.alias = { "models/other/": "bundle/" };
    await visit(page, `${site.url}?bundle=models/other`);
    expect(await page.textContent("#about")).toContain("Bundle realm-tiny");
    const kept = await page.evaluate(async () =>
      (await (await caches.open("realm-models")).keys()).map((request) => request.url),
    );
    expect(kept.every((url) => url.includes("/sub/path/models/other/"))).toBe(true);
    site.alias = {};
    await page.context().close();
  });
});
