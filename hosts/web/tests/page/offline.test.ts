/** The page without a network: everything is kept by its checksum, updates are offered, and no other server is asked. */

import { createHash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { REPOSITORY } from "../helpers";
import { choose, mapOf, nextPicture, picturesSeen, run, scoreOf, settled, visit } from "./actions";
import { launch } from "./browser";
import { type Site, serve } from "./server";

const COFFEE = path.join(REPOSITORY, "samples/coffee.jpg");
const WANTED = { texts: ["blurry"], windowsPx: [64], stridePx: 16, aggregate: "mean" } as const;

const out = process.env.REALM_OUT;

let browser: Browser;
let site: Site;
let context: BrowserContext;
let page: Page;
const asked: string[] = [];

beforeAll(async () => {
  process.env.PW_EXPERIMENTAL_SERVICE_WORKER_NETWORK_EVENTS = "1"; // also what the service worker asks for
  browser = await launch();
  site = await serve();
  context = await browser.newContext({ acceptDownloads: true, viewport: { width: 1280, height: 1090 } });
  context.on("request", (request) => asked.push(request.url()));
  page = await context.newPage();
});

afterAll(async () => {
  await browser.close();
  await site.close();
});

async function kept(): Promise<void> {
  await page.waitForSelector("body[data-offline=true]", { timeout: 60_000 });
}

async function answer() {
  await choose(page, COFFEE);
  await run(page, WANTED);
  expect(await page.locator("#alert").isHidden(), (await page.textContent("#alert")) ?? "").toBe(true);
  return { score: await scoreOf(page), map: (await mapOf(page)).values };
}

const cached = (name: string) =>
  page.evaluate(async (name) => {
    const cache = await caches.open(name);
    const found: [string, string][] = [];
    for (const { url } of await cache.keys()) {
      const bytes = await (await cache.match(url))!.arrayBuffer();
      const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
      const hex = Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
      found.push([url, hex]);
    }
    return found;
  }, name);

let online: Awaited<ReturnType<typeof answer>>;

test("after one visit every file is there, with the checksum that it is kept by", async () => {
  await visit(page, site.url);
  await kept();
  expect(await page.locator("#offline").isVisible()).toBe(true);
  const dist = process.env.REALM_DIST ?? path.resolve(import.meta.dirname, "../../dist");
  const sha256 = (file: string) =>
    createHash("sha256")
      .update(fs.readFileSync(path.join(dist, file)))
      .digest("hex");
  const files = [...(await cached("realm-page")), ...(await cached("realm-models"))];
  const names = files.map(([url, hash]) => {
    const { pathname, searchParams } = new URL(url);
    const name = pathname.replace("/sub/path/", "");
    expect(searchParams.get("sha256"), name).toBe(hash);
    expect(sha256(name), name).toBe(hash);
    return name;
  });
  const all = fs.readdirSync(dist, { recursive: true, encoding: "utf8" }).filter((name) => {
    return fs.statSync(path.join(dist, name)).isFile() && !name.startsWith("bundle");
  });
  for (const name of all) if (name !== "sw.js") expect(names).toContain(name);
  for (const name of [
    "bundle.json",
    "core.onnx",
    "text.onnx",
    "trunk.onnx",
    "windows.onnx",
    "tokenizer.json",
  ])
    expect(names).toContain(`bundle/${name}`);
  online = await answer();
});

test("a browser may install it", async () => {
  const session = await context.newCDPSession(page);
  const { errors, manifest } = (await session.send("Page.getAppManifest")) as {
    errors: { message: string }[];
    manifest?: { startUrl?: string };
  };
  expect(errors.map(({ message }) => message)).toEqual([]);
  expect(manifest?.startUrl).toBe(site.url);
  const { installabilityErrors } = await session.send("Page.getInstallabilityErrors");
  // An incognito profile, which tests have, never installs.
  expect(installabilityErrors.map(({ errorId }) => errorId).filter((id) => id !== "in-incognito")).toEqual(
    [],
  );
});

test("a new release is offered, fetches what changed alone, and then older files are gone", async () => {
  const titled = (content: Buffer) => content.toString().replace("<title>REALM", "<title>New REALM");
  const change = release("index.html", titled);
  const before = site.requests.length;
  site.change = change;
  await page.reload();
  await page.waitForSelector("#new-release:not([hidden])", { timeout: 60_000 });
  expect(await page.title()).toBe("REALM: how real does a picture look?");
  expect(site.requests.slice(before).filter((file) => file !== "sw.js")).toEqual(["index.html"]);
  await Promise.all([page.waitForEvent("load"), page.click("#update")]);
  await kept();
  expect(await page.title()).toBe("New REALM: how real does a picture look?");
  const pages = (await cached("realm-page")).filter(([url]) => url.includes("index.html"));
  expect(pages.length).toBe(1);
});

test("a release that is damaged on its way is not taken, and the page says so", async () => {
  const whole = release("index.html", (content) =>
    content.toString().replace("<title>REALM", "<title>Bad REALM"),
  );
  site.change = (file, content) =>
    file === "index.html" ? Buffer.from("<p>the server's own error page</p>") : whole(file, content);
  await page.reload();
  await page.waitForFunction(() =>
    document.querySelector("#notes")!.textContent!.includes("could not be kept"),
  );
  expect(await page.textContent("#notes")).toContain("index.html: wrong checksum");
  expect(await page.title()).toBe("New REALM: how real does a picture look?");
});

test("without server and network it opens, scores and maps as before, with threads", async () => {
  await site.close();
  await context.setOffline(true);
  await page.reload();
  await page.waitForSelector("body[data-ready=true]", { timeout: 100_000 });
  expect(await page.textContent("#runtime")).toMatch(/^WebAssembly, [2-8] threads$/);
  const { score, map } = await answer();
  expect(Math.abs(score.mos - online.score.mos)).toBeLessThan(1e-4);
  expect(map.every((value, at) => Math.abs(value - online.map[at]!) < 1e-4 || Number.isNaN(value))).toBe(
    true,
  );
  await page.selectOption("#preset", "released");
  const before = await picturesSeen(page);
  await page.click("[aria-label='Sample: a cup of coffee that melts']");
  await nextPicture(page, before);
  await page.waitForSelector("#map:not([hidden])");
  await settled(page);
  expect(await page.locator("#alert").isHidden()).toBe(true);
  await page.evaluate(() => scrollTo(0, 0));
  if (out) await page.screenshot({ path: path.join(out, "offline-1280.png") });
  await page.goto(`${site.url}?device=wasm`);
  await page.waitForSelector("body[data-ready=true]", { timeout: 100_000 });
});

test("no other server was ever asked", () => {
  const own = new URL(site.url).origin;
  const foreign = asked.filter((url) => !/^(blob|data):/.test(url) && new URL(url).origin !== own);
  expect(asked.some((url) => url.endsWith("sw.js"))).toBe(true); // the service worker is heard, too
  expect(foreign).toEqual([]);
});

/** The site with one file changed, as a build would write it: its new checksum stands in the service worker. */
function release(changed: string, edit: (content: Buffer) => string): Site["change"] {
  return (file, content) => {
    if (file === changed) return Buffer.from(edit(content));
    if (file !== "sw.js") return content;
    const dist = process.env.REALM_DIST ?? path.resolve(import.meta.dirname, "../../dist");
    const old = fs.readFileSync(path.join(dist, changed));
    const hash = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
    return Buffer.from(content.toString().replace(hash(old), hash(Buffer.from(edit(old)))));
  };
}
