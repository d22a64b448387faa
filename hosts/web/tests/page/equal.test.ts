/**
 * The page's numbers, for tests/hosts/test_web.py to compare with the Python engine's, and golden pictures.
 *
 * REALM_CASES names a JSON file with what to compute, REALM_OUT the folder for what came out, REALM_PICTURES a
 * JSON file with pictures and their pixels as Pillow reads them. REALM_PAGE is the page on Python's plain server;
 * without it this test serves the page itself.
 */

import fs from "node:fs";
import path from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { GOLDEN, type Golden, goldenPicture, maxDifference, readGolden, readNpy } from "../helpers";
import { choose, mapOf, pixelsOf, run, scoreOf, settled, visit, type Wanted } from "./actions";
import { launch, UNKEPT } from "./browser";
import { type Site, serve } from "./server";

interface Case extends Wanted {
  readonly name: string;
  readonly file: string;
}

const golden = readGolden();
const out = process.env.REALM_OUT;
const cases: Case[] = process.env.REALM_CASES
  ? JSON.parse(fs.readFileSync(process.env.REALM_CASES, "utf8"))
  : [];

const pictures: Golden["decoding"] = process.env.REALM_PICTURES
  ? JSON.parse(fs.readFileSync(process.env.REALM_PICTURES, "utf8"))
  : [];

let browser: Browser;
let page: Page;
let site: Site | null = null;

beforeAll(async () => {
  browser = await launch();
  page = await browser.newPage({ ...UNKEPT, acceptDownloads: true });
  site = process.env.REALM_PAGE ? null : await serve();
  await visit(page, site?.url ?? process.env.REALM_PAGE!);
});

afterAll(async () => {
  await browser.close();
  await site?.close();
});

test.skipIf(cases.length === 0)("scores and maps for the Python engine to compare", async () => {
  const answers: Record<string, unknown> = {};
  for (const wanted of cases) {
    await choose(page, wanted.file);
    await run(page, wanted);
    expect(await page.locator("#alert").isHidden()).toBe(true);
    const map = await mapOf(page);
    fs.copyFileSync(map.file, path.join(out!, `${wanted.name}.npy`));
    const [overlay] = await Promise.all([page.waitForEvent("download"), page.click("#save-overlay")]);
    expect(overlay.suggestedFilename()).toMatch(/\.overlay\.png$/);
    await overlay.saveAs(path.join(out!, `${wanted.name}.overlay.png`));
    answers[wanted.name] = { ...(await scoreOf(page)), made: await page.textContent("#made-with") };
  }
  fs.writeFileSync(path.join(out!, "answers.json"), JSON.stringify(answers));
});

test("golden maps on the page", async () => {
  // The page has no choice of encoder: it follows the preset.
  const shown = golden.maps.filter((map) => map.quantity === "realness" && map.encoder === "one-pass");
  expect(shown.length).toBe(3);
  for (const entry of shown) {
    await choose(page, path.join(GOLDEN, entry.image));
    const { texts, windows_px, stride_px, aggregate } = entry;
    await run(page, { texts, windowsPx: windows_px, stridePx: stride_px, aggregate });
    const map = await mapOf(page);
    const expected = readNpy(new Uint8Array(fs.readFileSync(path.join(GOLDEN, entry.values))));
    expect(map.shape).toEqual(expected.shape);
    expect(maxDifference(map.values, expected.values), entry.values).toBeLessThanOrEqual(
      golden.tolerances.map_max_abs,
    );
  }
});

test("golden scores on the page", async () => {
  for (const entry of golden.scores.filter(({ text }) => text === null || !/[\n\t]/.test(text)).slice(0, 8)) {
    await choose(page, path.join(GOLDEN, entry.image));
    await settled(page);
    // One row of windows: the score is what counts here.
    await run(page, { texts: [entry.text ?? ""], windowsPx: [32], stridePx: 512, aggregate: "mean" });
    const { mos } = await scoreOf(page);
    expect(Math.abs(mos - entry.mos), `${entry.image} ${entry.text}`).toBeLessThanOrEqual(
      golden.tolerances.mos_max_abs,
    );
  }
});

// What a browser decodes; differences are those of its decoder, and listed in README.
test.each([...golden.decoding, ...pictures])("decoding of $file", async ({ file, rgb, max_levels }) => {
  await choose(page, path.resolve(GOLDEN, file));
  expect(await page.locator("#alert").isHidden(), (await page.textContent("#alert")) ?? "").toBe(true);
  const expected = await goldenPicture(rgb);
  const actual = await pixelsOf(page);
  expect([actual.width, actual.height]).toEqual([expected.width, expected.height]);
  expect(maxDifference(actual.rgb, expected.rgb)).toBeLessThanOrEqual(max_levels);
});
