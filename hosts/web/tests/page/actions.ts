/** What a visitor does on the page, and what can be read from it. */

import fs from "node:fs";
import { createRequire } from "node:module";
import type { Page } from "playwright-core";
import { readNpy } from "../helpers";

const AXE = fs.readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const READY = 100_000; // a software adapter for WebGPU on a busy machine

/** Open the page and wait for the models. */
export async function visit(page: Page, url: string): Promise<void> {
  await page.goto(url);
  await page.waitForSelector("body[data-ready=true]", { timeout: READY });
}

export interface Upload {
  readonly name: string;
  readonly mimeType: string;
  readonly buffer: Buffer;
}

export function upload(name: string, buffer: Buffer): Upload {
  return { name, mimeType: "application/octet-stream", buffer };
}

/** Choose a picture and wait until it is shown, or refused. */
export async function choose(page: Page, file: string | Upload): Promise<void> {
  const before = await picturesSeen(page);
  await page.setInputFiles("#file", file);
  await nextPicture(page, before);
}

/** How many pictures the page has decoded or refused. */
export function picturesSeen(page: Page): Promise<number> {
  return page.evaluate(() => Number(document.body.dataset.pictures ?? 0));
}

export async function nextPicture(page: Page, before: number): Promise<void> {
  await page.waitForFunction((seen) => Number(document.body.dataset.pictures ?? 0) > seen, before);
}

/** The message of the alert, once there is one. */
export async function alertText(page: Page): Promise<string> {
  await page.waitForSelector("#alert:not([hidden])");
  return (await page.textContent("#alert")) ?? "";
}

/** Wait until nothing runs. */
export async function settled(page: Page): Promise<void> {
  await page.waitForSelector("#working", { state: "hidden", timeout: READY });
}

export interface Wanted {
  readonly texts: readonly string[];
  readonly windowsPx: readonly number[];
  readonly stridePx: number;
  readonly aggregate: "mean" | "max";
}

/** Set texts and windows. */
export async function ask(page: Page, wanted: Wanted): Promise<void> {
  for (const chip of await page.locator("#texts .chip").all()) await chip.click();
  for (const text of wanted.texts.slice(1)) {
    await page.fill("#text", text);
    await page.click("#add-text");
  }
  await page.fill("#text", wanted.texts[0] ?? "");
  await page.fill("#windows", wanted.windowsPx.join(", "));
  await page.fill("#stride", String(wanted.stridePx));
  await page.selectOption("#aggregate", wanted.aggregate);
}

/** Set texts and windows, press the button, and wait for the map. What ran before is given up by that. */
export async function run(page: Page, wanted: Wanted): Promise<void> {
  await ask(page, wanted);
  await page.click("#run");
  await settled(page);
}

/** MOS and realness as computed, not as rounded for the eye. */
export async function scoreOf(page: Page): Promise<{ mos: number; realness: number }> {
  const data = await page.locator("#mos").evaluate((mos) => ({ ...(mos as HTMLElement).dataset }));
  return { mos: Number(data.mos), realness: Number(data.realness) };
}

/** The map as the page saves it. */
export async function mapOf(page: Page): Promise<{ file: string; values: Float32Array; shape: number[] }> {
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("#save-values")]);
  const file = await download.path();
  return { file, ...readNpy(new Uint8Array(fs.readFileSync(file))) };
}

/** RGB of the picture as the page shows it. */
export async function pixelsOf(page: Page): Promise<{ width: number; height: number; rgb: Uint8Array }> {
  const { width, height, rgba } = await page.locator("#image").evaluate((element) => {
    const image = element as HTMLCanvasElement;
    const data = image.getContext("2d")!.getImageData(0, 0, image.width, image.height).data;
    let text = "";
    for (let i = 0; i < data.length; i += 8192) text += String.fromCharCode(...data.subarray(i, i + 8192));
    return { width: image.width, height: image.height, rgba: btoa(text) };
  });
  const bytes = Buffer.from(rgba, "base64");
  return { width, height, rgb: Uint8Array.from(bytes.filter((_, i) => i % 4 !== 3)) };
}

/** What axe finds that keeps somebody from using the page. */
export async function violations(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  return page.evaluate(async () => {
    const { axe } = window as unknown as {
      axe: { run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> };
    };
    return (await axe.run()).violations.map(
      ({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" ")}`,
    );
  });
}
