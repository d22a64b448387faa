/** A bundle that maps in one pass on the page (../unit/one-pass.test.ts says where it comes from). */

import fs from "node:fs";
import path from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { maxDifference, readNpy } from "../helpers";
import { ask, choose, mapOf, settled, visit } from "./actions";
import { launch, UNKEPT } from "./browser";
import { type Site, serve } from "./server";

const folder = process.env.REALM_ONE_PASS;

describe.skipIf(folder === undefined)("maps in one pass on the page", () => {
  const at = folder ?? "";
  let browser: Browser;
  let site: Site;

  beforeAll(async () => {
    browser = await launch();
    site = await serve();
    for (const name of ["both", "alone"]) {
      site.alias = { ...site.alias, [`${name}/`]: path.join(at, `${name}/`) };
    }
  });

  afterAll(async () => {
    await browser.close();
    await site.close();
  });

  async function open(bundle: string): Promise<Page> {
    const page = await browser.newPage({ ...UNKEPT, acceptDownloads: true });
    await visit(page, `${site.url}?bundle=${bundle}/`);
    return page;
  }

  /** Map with a preset, and what the page says that it is made with. */
  async function mapBy(page: Page, preset: string): Promise<string> {
    await page.selectOption("#preset", preset);
    await page.click("#run");
    await settled(page);
    expect(await page.locator("#alert").isHidden(), (await page.textContent("#alert")) ?? "").toBe(true);
    return (await page.textContent("#made-with")) ?? "";
  }

  test.each([
    [
      "both",
      [
        ["released", true],
        ["paper", false],
        ["tiny", true],
      ],
    ],
    [
      "alone",
      [
        ["released", true],
        ["paper", true],
      ],
    ],
  ] as const)("the bundle %s follows its presets", async (bundle, presets) => {
    const cases = JSON.parse(fs.readFileSync(path.join(at, "cases.json"), "utf8"));
    const page = await open(bundle);
    await choose(page, path.join(at, "a.png"));
    await settled(page);
    for (const [preset, inOnePass] of presets) {
      const wanted = cases.find(
        (entry: Record<string, unknown>) =>
          entry.bundle === bundle &&
          entry.choice === "auto" &&
          entry.picture === "a.png" &&
          entry.preset === preset &&
          (entry.texts as string[]).length === 1,
      );
      await page.fill("#text", wanted.texts[0]);
      const made = await mapBy(page, preset);
      expect(made.startsWith(`${wanted.windows.toLocaleString("en")} windows of `), made).toBe(true);
      expect(made.includes(", in one pass, compared with"), made).toBe(inOnePass);
      const expected = readNpy(new Uint8Array(fs.readFileSync(path.join(at, wanted.values))));
      const map = await mapOf(page);
      expect(map.shape).toEqual(expected.shape);
      expect(maxDifference(map.values, expected.values), preset).toBeLessThanOrEqual(1e-4);
    }
    await page.close();
  });

  test("own windows are encoded as those of the preset before them", async () => {
    const page = await open("both");
    await choose(page, path.join(at, "a.png"));
    await settled(page);
    for (const [preset, inOnePass] of [
      ["paper", false],
      ["tiny", true],
    ] as const) {
      await page.selectOption("#preset", preset);
      await ask(page, { texts: ["a seam"], windowsPx: [40], stridePx: 20, aggregate: "mean" });
      const made = await mapBy(page, "custom");
      expect(made).toContain("36 windows of 40 px, stride 20");
      expect(made.includes("in one pass"), preset).toBe(inOnePass);
    }
    await page.close();
  });
});
