/** A bundle with measures of every kind on the page (../unit/measures.test.ts says where it comes from). */

import fs from "node:fs";
import path from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { choose, scoreOf, settled, violations, visit } from "./actions";
import { launch, UNKEPT } from "./browser";
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
    page = await browser.newPage({ ...UNKEPT, viewport: { width: 360, height: 900 } });
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
    const rows = await page.locator("#measures tbody tr:not(.measure)").evaluateAll((all) =>
      all.map((row) => ({
        name: row.querySelector(".name")!.textContent,
        value: row.querySelector<HTMLElement>("td[data-column]")!.dataset.value,
        shown: row.querySelector("td[data-column]")!.textContent,
        meaning: row.querySelector(".meaning")!.textContent,
      })),
    );
    const { realness_low: low, realness_high: high } = first.values as Record<string, number>;
    expect(await page.textContent("#realness")).toBe(realness.toFixed(0));
    const sure = `People rated 90 of 100 such pictures between ${low!.toFixed(0)} and ${high!.toFixed(0)}.`;
    expect(await page.textContent("#sure")).toBe(sure);
    const { brightness } = first.values as Record<string, number>;
    expect(await page.isVisible("#score-warning")).toBe(brightness! > 0.3);
    if (brightness! > 0.3) {
      expect(await page.textContent("#score-warning")).toContain("brightness is ");
    }
    const above = ["mos", "realness", "realness_low", "realness_high"];
    const others = Object.fromEntries(
      Object.entries(first.values as Record<string, number | string>).filter(
        ([name]) => !above.includes(name),
      ),
    );
    expect(rows.map((row) => row.name)).toEqual([...Object.keys(others), "loss", "doubt", "silence"]);
    for (const [index, value] of Object.values(others).entries()) {
      if (typeof value === "string") {
        expect([rows[index]!.value, rows[index]!.shown]).toEqual([value, value]);
        continue;
      }
      const limit = rows[index]!.name === "place" ? 0.2 : 0.02;
      expect(Math.abs(Number(rows[index]!.value) - value), rows[index]!.name!).toBeLessThanOrEqual(limit);
    }
    expect(rows[0]!.shown).toBe(Number(rows[0]!.value).toFixed(0)); // a place on a curve
    expect(rows[1]!.meaning).toBe("what brightness means; 0 to 1, higher = better");
    expect(rows.find((row) => row.name === "unreal")!.meaning).toContain("lower = better");
    expect(rows.find((row) => row.name === "guess")!.meaning).toBe("what guess means; made, unsure, taken");
    for (const name of ["loss", "silence"]) {
      expect(rows.find((row) => row.name === name)).toMatchObject({ value: "", shown: "–" });
    }
    expect(await page.textContent("#alert")).toContain(
      "measure lost: the model's answer is not a number (value of graph broken)",
    );
    expect(await page.textContent("#notes")).toMatch(
      /^Left out: tiled looks through a view of the kind .*\./,
    );
    expect(await page.textContent("#about")).toContain("Of kinds that this page cannot compute: scenes.");
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
