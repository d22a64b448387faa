/** A visit: progress, the cache, nothing leaves, the keyboard, cancelling. */

import fs from "node:fs";
import path from "node:path";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { BUNDLE, REPOSITORY } from "../helpers";
import { choose, nextPicture, picturesSeen, settled, visit } from "./actions";
import { launch, UNKEPT } from "./browser";
import { type Site, serve } from "./server";

const CAT = path.join(REPOSITORY, "samples/cat-doubled.png");
const COFFEE = path.join(REPOSITORY, "samples/coffee.jpg");

let browser: Browser;
let context: BrowserContext;
let page: Page;
let site: Site;
const foreign: string[] = [];

beforeAll(async () => {
  browser = await launch();
  site = await serve();
  context = await browser.newContext({ ...UNKEPT, viewport: { width: 1280, height: 1000 } });
  context.on("request", (request) => {
    const { protocol, origin } = new URL(request.url());
    if (!["blob:", "data:"].includes(protocol) && origin !== new URL(site.url).origin)
      foreign.push(request.url());
  });
  page = await context.newPage();
});

afterAll(async () => {
  await browser.close();
  await site.close();
});

const models = () => site.requests.filter((file) => /\.onnx$|tokenizer\.json$/.test(file)).length;

test("the first visit shows progress and downloads each model once", async () => {
  await page.addInitScript(() => {
    const seen: number[] = [];
    Object.assign(window, { seen });
    addEventListener("DOMContentLoaded", () => {
      const bar = document.querySelector<HTMLProgressElement>("#loading-bar")!;
      new MutationObserver(() => seen.push(bar.value)).observe(bar, { attributes: true });
    });
  });
  await visit(page, site.url);
  const seen = await page.evaluate(() => (window as unknown as { seen: number[] }).seen);
  expect(seen.length).toBeGreaterThan(5);
  expect([...seen].sort((a, b) => a - b)).toEqual(seen);
  expect(seen.at(-1)).toBe(1);
  expect(models()).toBe(7); // those of scores, of the probe and of maps in one pass, the tokenizer; not `dream`
  expect(await page.textContent("#about")).toContain("downloaded");
  expect(await page.locator("#loading").isHidden()).toBe(true);
});

test("the second visit downloads no model", async () => {
  const before = models();
  await visit(page, site.url);
  expect(models()).toBe(before);
  expect(await page.textContent("#about")).toContain("all kept by this browser");
});

const keptFiles = () =>
  page.evaluate(async () => (await (await caches.open("realm-models")).keys()).map((request) => request.url));

test("a changed file is fetched anew, and the old one forgotten", async () => {
  const before = models();
  const phrases = Buffer.from(`${fs.readFileSync(path.join(BUNDLE, "phrases.json"), "utf8")}\n`);
  const digest = Buffer.from(await crypto.subtle.digest("SHA-256", phrases)).toString("hex");
  const manifest = JSON.parse(fs.readFileSync(path.join(BUNDLE, "bundle.json"), "utf8"));
  manifest.files["phrases.json"] = { sha256: digest, size_bytes: phrases.length };
  const kept = await keptFiles();
  site.change = (file, content) => {
    if (file === "bundle/bundle.json") return Buffer.from(JSON.stringify(manifest));
    return file === "bundle/phrases.json" ? phrases : content;
  };
  await visit(page, site.url);
  site.change = (_, content) => content;
  const now = await keptFiles();
  expect(models()).toBe(before);
  expect(now.length).toBe(kept.length);
  expect(now.some((url) => url.includes(digest))).toBe(true);
  expect(now.filter((url) => url.includes("phrases.json")).length).toBe(1);
});

test("a file that was damaged in the cache is fetched anew", async () => {
  await page.evaluate(async () => {
    const cache = await caches.open("realm-models");
    const key = (await cache.keys()).find((request) => request.url.includes("trunk.onnx"))!;
    await cache.put(key, new Response(new Uint8Array(10)));
  });
  const before = models();
  await visit(page, site.url);
  expect(models()).toBe(before + 1);
});

test("the keyboard is enough", async () => {
  const focused = () => page.evaluate(() => document.activeElement?.id ?? "");
  async function tabTo(reached: () => Promise<boolean>, key = "Tab"): Promise<void> {
    for (let i = 0; i < 60; i++) {
      await page.keyboard.press(key);
      if (await reached()) return;
    }
    throw new Error("the keyboard does not get there");
  }
  const onSample = () => page.evaluate(() => document.activeElement?.className === "sample");
  await page.locator("body").focus();
  await tabTo(async () => (await focused()) === "file");
  await tabTo(onSample);
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement!).outlineStyle);
  expect(outline).toBe("solid");
  const before = await picturesSeen(page);
  await page.keyboard.press("Enter");
  await nextPicture(page, before);
  await page.waitForSelector("#map:not([hidden])");
  await settled(page);
  await tabTo(async () => (await focused()) === "text");
  await page.keyboard.press("Control+A");
  await page.keyboard.type("blurry");
  await page.keyboard.press("Enter");
  await page.waitForSelector("#working:not([hidden])");
  await settled(page);
  expect(await page.textContent("#made-with")).toContain("“blurry”");
  await tabTo(async () => (await focused()) === "reader", "Shift+Tab");
  const middle = await page.textContent("#value");
  expect(middle).toMatch(/^x \d+, y \d+: realness 0\.\d{3}, similarity -?0\.\d{3}$/);
  await page.keyboard.press("Shift+ArrowRight");
  await page.keyboard.press("ArrowDown");
  const [x, y] = /x (\d+), y (\d+)/.exec(middle!)!.slice(1).map(Number) as [number, number];
  expect(await page.textContent("#value")).toContain(`x ${x + 16}, y ${y + 1}:`);
  await tabTo(async () => (await focused()) === "opacity");
  await page.keyboard.press("ArrowLeft");
  expect(await page.textContent("#opacity-value")).toBe("95 %");
  expect(await page.locator("#map").evaluate((map) => map.style.opacity)).toBe("0.95");
});

const SLOW = { texts: ["blurry"], windowsPx: [64], stridePx: 2, aggregate: "mean" } as const;

/** Start a map of many windows and wait until it is well under way. */
async function startSlow(): Promise<void> {
  await settled(page);
  await page.fill("#stride", String(SLOW.stridePx));
  await page.locator("#stride").blur();
  await page.click("#run");
  await page.waitForFunction(() => /^\d[\d,]* of \d/.test(document.querySelector("#map-text")!.textContent!));
}

test("stopping, another window and another picture each end a running map", async () => {
  await startSlow();
  expect(await page.textContent("#estimate")).toMatch(
    /^\d+,\d+ windows, (about [\d.]+ s|less than a second) here\.$/,
  );
  await page.click("#stop");
  await settled(page);

  await startSlow();
  await page.selectOption("#preset", "quick");
  await settled(page);
  expect(await page.textContent("#status")).toContain("The windows changed");

  await startSlow();
  await page.selectOption("#preset", "quick");
  await choose(page, COFFEE);
  await settled(page);
  expect(await page.textContent("#made-with")).toContain("windows of 64 px");
  expect(await page.locator("#alert").isHidden()).toBe(true);
});

test("a map that would take long waits for the button", async () => {
  await page.fill("#stride", "1");
  await page.locator("#stride").blur();
  await choose(page, CAT);
  await settled(page);
  expect(await page.textContent("#notes")).toContain("press “Score and map” to start");
  expect(await page.locator("#map").isHidden()).toBe(true);
  expect(await page.locator("#score").isVisible()).toBe(true);
  await page.selectOption("#preset", "quick");
});

test("pasted and dropped pictures are taken", async () => {
  for (const kind of ["paste", "drop"]) {
    const before = await picturesSeen(page);
    await page.evaluate(
      async ([kind]) => {
        const blob = await (await fetch("samples/coffee.jpg")).blob();
        const data = new DataTransfer();
        data.items.add(new File([blob], `${kind}.jpg`, { type: "image/jpeg" }));
        const event =
          kind === "paste"
            ? new ClipboardEvent("paste", { clipboardData: data, bubbles: true })
            : new DragEvent("drop", { dataTransfer: data, bubbles: true });
        document.body.dispatchEvent(event);
      },
      [kind],
    );
    await nextPicture(page, before);
    expect(await page.locator("#image").getAttribute("aria-label")).toContain(`${kind}.jpg, 512 x`);
  }
  await settled(page);
});

test("nothing went to another server, and neither page nor worker could", async () => {
  expect(foreign).toEqual([]);
  const other = await serve({ headers: { "Access-Control-Allow-Origin": "*" } });
  const attempt = (url: string) =>
    fetch(url).then(
      () => "sent",
      (error: Error) => error.name,
    );
  expect(await page.evaluate(attempt, other.url)).toBe("TypeError");
  const [worker] = page.workers();
  expect(await worker!.evaluate(attempt, other.url)).toBe("TypeError");
  expect(other.requests).toEqual([]);
  await other.close();
});
