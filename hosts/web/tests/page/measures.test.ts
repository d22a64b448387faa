/** A bundle with measures of every kind on the page (../unit/measures.test.ts says where it comes from). */

import fs from "node:fs";
import path from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { choose, scoreOf, settled, violations, visit } from "./actions";
import { launch } from "./browser";
import { type Site, serve } from "./server";

const folder = process.env.REALM_MEASURES;

describe.skipIf(folder === undefined)("measures on the page", () => {
  let browser: Browser;
  let page: Page;
  let site: Site;

  beforeAll(async () => {
    browser = await launch();
    site = await serve();
    site.alias = { "measured/": path.join(folder!, "bundle/") };
    page = await browser.newPage({ viewport: { width: 360, height: 900 } });
    await visit(page, `${site.url}?bundle=measured/`);
  });

  afterAll(async () => {
    await browser.close();
    await site.close();
  });

  test("the default as a rating, the others with value, direction and meaning", async () => {
    const [first] = JSON.parse(fs.readFileSync(path.join(folder!, "cases.json"), "utf8"));
    await choose(page, path.join(folder!, first.picture));
    await settled(page);
    await page.fill("#text", first.text);
    await page.fill("#windows", "24");
    await page.click("#run");
    await settled(page);
    const { mos, realness } = await scoreOf(page);
    expect(mos).toBeCloseTo(first.values.mos, 3);
    expect(Math.abs(realness - first.values.realness)).toBeLessThanOrEqual(0.02);
    const rows = await page.locator("#measure-rows tr").evaluateAll((all) =>
      all.map((row) => ({
        name: row.querySelector("th")!.textContent,
        value: row.querySelector<HTMLElement>("td[data-column]")!.dataset.value,
        shown: row.querySelector("td[data-column]")!.textContent,
        meaning: row.lastElementChild!.textContent,
      })),
    );
    const { mos: _, realness: __, ...others } = first.values as Record<string, number>;
    expect(rows.map((row) => row.name)).toEqual([...Object.keys(others), "loss"]);
    for (const [index, value] of Object.values(others).entries()) {
      expect(Math.abs(Number(rows[index]!.value) - value), rows[index]!.name!).toBeLessThanOrEqual(0.02);
    }
    expect(rows[0]!.meaning).toBe("what brightness means; 0 to 1, higher = better");
    expect(rows.find((row) => row.name === "unreal")!.meaning).toContain("lower = better");
    expect(rows.at(-1)).toMatchObject({ value: "", shown: "–" });
    expect(await page.textContent("#alert")).toBe("measure lost: the model's answer is not a number");
    expect(await page.textContent("#notes")).toContain("that this page cannot compute: tiled, scenes.");
  });

  test("the table fits a narrow page and a screen reader", async () => {
    expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(
      0,
    );
    expect(await violations(page)).toEqual([]);
    const out = process.env.REALM_OUT;
    if (out) await page.screenshot({ path: path.join(out, "measures-360.png"), fullPage: true });
  });
});
