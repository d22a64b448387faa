/** Pages that `realm-engine compare` and `report` write: nothing leaves, everybody can read them, in any light. */

import path from "node:path";
import { pathToFileURL } from "node:url";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { violations } from "./actions";
import { launch } from "./browser";

const reports: string[] = JSON.parse(process.env.REALM_REPORTS ?? "[]");
const out = process.env.REALM_OUT;

let browser: Browser;
beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser.close());

for (const file of reports) {
  const name = path.basename(path.dirname(file));

  for (const [look, colorScheme, width] of [
    ["light", "light", 1180],
    ["dark", "dark", 1180],
    ["phone", "light", 390],
  ] as const) {
    test(`${name}: ${look}, without a request and without violations that axe finds`, async () => {
      const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme });
      const page = await context.newPage();
      const asked: string[] = [];
      const said: string[] = [];
      page.on("request", (request) => asked.push(request.url()));
      page.on("console", (message) => said.push(message.text()));
      await page.goto(pathToFileURL(file).href);
      expect(asked.filter((url) => !url.startsWith("data:"))).toEqual([pathToFileURL(file).href]);
      expect(said).toEqual([]);
      expect(await violations(page)).toEqual([]);
      // Nothing is wider than the window, whatever names there are.
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      expect(wide).toBeLessThanOrEqual(0);
      const broken = await page.evaluate(
        () => [...document.images].filter((image) => !image.naturalWidth).length,
      );
      expect(broken).toBe(0);
      if (out) await page.screenshot({ path: path.join(out, `report-${name}-${look}.png`), fullPage: true });
      await context.close();
    });
  }

  test(`${name}: what somebody planted could neither run nor fetch`, async () => {
    const page = await browser.newPage();
    await page.goto(pathToFileURL(file).href);
    const refused = await page.evaluate(
      () =>
        new Promise<string[]>((done) => {
          const seen: string[] = [];
          addEventListener("securitypolicyviolation", (event) => {
            seen.push(event.effectiveDirective);
            if (seen.length === 2) done(seen.sort());
          });
          const picture = new Image();
          picture.src = "http://127.0.0.1:9/x.png";
          document.body.append(picture);
          const script = document.createElement("script");
          script.textContent = "document.title = 'ran'";
          document.body.append(script);
        }),
    );
    expect(refused).toEqual(["img-src", "script-src-elem"]);
    expect(await page.title()).not.toBe("ran");
    await page.close();
  });

  test(`${name}: in print it is light and holds its pictures`, async () => {
    const page = await browser.newPage({ colorScheme: "dark" });
    await page.goto(pathToFileURL(file).href);
    await page.emulateMedia({ media: "print", colorScheme: "dark" });
    const paper = await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
    expect(paper).toBe("rgb(255, 255, 255)");
    if (out) await page.screenshot({ path: path.join(out, `report-${name}-print.png`), fullPage: true });
    expect((await page.pdf({ printBackground: true })).length).toBeGreaterThan(20_000);
    await page.close();
  });
}
