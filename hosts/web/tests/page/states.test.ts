/** Every state of the page, light and dark, wide and narrow: nothing that axe finds, nothing wider than the screen. */

import fs from "node:fs";
import path from "node:path";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { REPOSITORY } from "../helpers";
import { alertText, choose, run, settled, upload, violations, visit } from "./actions";
import { launch, UNKEPT } from "./browser";
import { type Site, serve } from "./server";

const SAMPLES = path.join(REPOSITORY, "samples");
const MELTED = path.join(SAMPLES, "coffee-melted.png");
const TEXTS = ["melted, dripping edges"];
const out = process.env.REALM_OUT;

let browser: Browser;
let site: Site;
let context: BrowserContext;
let page: Page;

beforeAll(async () => {
  browser = await launch();
  site = await serve();
  context = await browser.newContext(UNKEPT);
  page = await context.newPage();
});

afterEach(async () => {
  site.change = (_, content) => content;
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize({ width: 1280, height: 900 });
});

afterAll(async () => {
  await browser.close();
  await site.close();
});

async function look(state: string): Promise<void> {
  for (const width of [1280, 360]) {
    for (const scheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme: scheme });
      await page.setViewportSize({ width, height: 900 });
      const which = `${state}-${scheme}-${width}`;
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      expect(overflow, which).toBeLessThanOrEqual(0);
      if (out) await page.screenshot({ path: path.join(out, `${which}.png`), fullPage: true });
      expect(await violations(page), which).toEqual([]);
    }
  }
}

test("while models are on their way", async () => {
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  await context.route("**/text.onnx*", async (route) => {
    await held;
    await route.continue();
  });
  await page.goto(site.url);
  await page.waitForFunction(() => document.querySelector<HTMLProgressElement>("#loading-bar")!.value > 0);
  await look("loading");
  release();
  await page.waitForSelector("body[data-ready=true]");
  await context.unroute("**/text.onnx*");
});

test("without a picture", async () => {
  await look("empty");
});

test("without models", async () => {
  site.change = (file, content) => (file === "bundle/bundle.json" ? null : content);
  await page.goto(site.url);
  await alertText(page);
  await look("no-models");
});

test("a file that is no picture", async () => {
  await visit(page, site.url);
  await choose(page, upload("words.jpg", Buffer.from("these are words")));
  await alertText(page);
  await look("no-picture");
});

test("a map under way, and one that waits for the button", async () => {
  await page.fill("#stride", "1");
  await page.locator("#stride").blur();
  await choose(page, MELTED);
  await settled(page);
  expect(await page.textContent("#notes")).toContain("press “Score and map” to start");
  await look("waiting");
  await page.click("#run");
  await page.waitForSelector("#working:not([hidden])");
  await look("working");
  if (await page.locator("#stop").isVisible()) await page.click("#stop");
  await settled(page);
});

test("a map on which something stands out", async () => {
  await choose(page, MELTED);
  await run(page, { texts: TEXTS, windowsPx: [64], stridePx: 8, aggregate: "mean" });
  expect(await page.textContent("#stands-out")).toMatch(/^Something stands out: /);
  await page.focus("#reader");
  await look("map");
  await page.click("#suggestions summary");
  await look("suggestions");
});

test("a map on which nothing does, and one of windows that nothing is known of", async () => {
  const wanted = {
    texts: ["doubled, overlapping parts", "blurry"],
    windowsPx: [64],
    stridePx: 8,
    aggregate: "mean",
  } as const;
  await choose(page, path.join(SAMPLES, "cat-doubled.png"));
  await run(page, wanted);
  expect(await page.textContent("#stands-out")).toMatch(/^Nothing stands out: /);
  await look("nothing");
  await run(page, { ...wanted, stridePx: 30 });
  expect(await page.textContent("#stands-out")).toMatch(/^It is not known what photographs give here/);
  await look("unknown");
});

test("a picture that is unlike all that the model knows has a warning and no words", async () => {
  const address = await page.evaluate(() => {
    const blank = document.createElement("canvas"); // transparent: a white picture
    return blank.toDataURL("image/png");
  });
  await choose(page, upload("flat.png", Buffer.from(address.split(",")[1]!, "base64")));
  await settled(page);
  expect(await page.textContent("#score-warning")).toMatch(/^Distrust these numbers: unlike is /);
  expect(await page.locator("#score-words").isHidden()).toBe(true);
  expect(await page.locator("#score-places").isHidden()).toBe(true);
  await look("unlike");
});

test("a screen reader hears of score and map, and every control has a name", async () => {
  const said: string[] = [];
  await page.exposeFunction("heard", (text: string) => said.push(text));
  await page.evaluate(() => {
    const { heard } = window as unknown as { heard(text: string): void };
    for (const live of document.querySelectorAll("[role=status], [role=alert], [aria-live], output")) {
      new MutationObserver(() => heard(live.textContent ?? "")).observe(live, {
        childList: true,
        characterData: true,
        subtree: true,
      });
    }
  });
  await choose(page, MELTED);
  await run(page, { texts: TEXTS, windowsPx: [64], stridePx: 8, aggregate: "mean" });
  expect(said.some((text) => /^Realness \d+ of 100\. /.test(text))).toBe(true);
  expect(said.some((text) => /^The map is ready: .* Something stands out: /.test(text))).toBe(true);
  const snapshot = await page.locator("main").ariaSnapshot();
  if (out) fs.writeFileSync(path.join(out, "aria.yaml"), snapshot);
  for (const name of [
    'combobox "What looks unreal?"',
    'button "Score and map"',
    'slider "Strength of the map"',
    'combobox "Preset"',
    'button "Sample: a cup of coffee"',
    'table "Measures of the picture"',
    'application "Values of the map',
  ]) {
    expect(snapshot).toContain(name);
  }
});

test("the focus shows wherever the keyboard goes", async () => {
  await page.locator("body").focus();
  const seen = new Set<string>();
  for (let step = 0; step < 80; step++) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(() => {
      const focused = document.activeElement;
      if (focused === null || focused === document.body) return null;
      // A file field is hidden; its label shows the focus instead.
      const shows = focused.id === "file" ? document.querySelector("label[for=file]")! : focused;
      const { outlineStyle, outlineWidth } = getComputedStyle(shows);
      const box = shows.getBoundingClientRect();
      const visible = outlineStyle === "solid" && Number.parseFloat(outlineWidth) >= 2 && box.width > 1;
      return { name: focused.id || focused.textContent?.trim() || focused.tagName, visible };
    });
    if (at === null) continue; // the page as a whole, at its end
    expect(at.visible, at.name).toBe(true);
    seen.add(at.name);
  }
  for (const id of [
    "file",
    "reader",
    "opacity",
    "save-overlay",
    "save-values",
    "text",
    "add-text",
    "preset",
    "run",
  ])
    expect(seen, id).toContain(id);
});
