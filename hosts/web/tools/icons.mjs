/** Writes public/icon-192.png and icon-512.png from public/icon.svg, in a headless Chromium: node tools/icons.mjs CHROMIUM */

import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const executablePath = process.argv[2];
if (executablePath === undefined) {
  console.error("error: name a Chromium: node tools/icons.mjs /usr/bin/chromium");
  process.exit(2);
}
const folder = new URL("../public/", import.meta.url);
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
const page = await browser.newPage();
await page.goto(new URL("icon.svg", folder).href);
for (const side of [192, 512]) {
  await page.setViewportSize({ width: side, height: side });
  await page.screenshot({ path: fileURLToPath(new URL(`icon-${side}.png`, folder)) });
}
await browser.close();
