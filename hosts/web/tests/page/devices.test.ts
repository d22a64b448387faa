/** Where it computes: threads under isolation headers, WebGPU on a software adapter, and what follows its failure. */

import path from "node:path";
import type { Browser } from "playwright-core";
import { afterEach, expect, test } from "vitest";
import { GOLDEN, maxDifference, readGolden } from "../helpers";
import { ask, choose, mapOf, scoreOf, settled, visit } from "./actions";
import { launch, UNKEPT } from "./browser";
import { type Options, type Site, serve } from "./server";

// Few windows: a software adapter is far slower than WebAssembly.
const SMALL = path.join(GOLDEN, "images/tiny.png");
const FEW = {
  texts: ["doubled, overlapping parts"],
  windowsPx: [32],
  stridePx: 4,
  aggregate: "mean",
} as const;
const SOFTWARE_GPU = [
  "--enable-unsafe-webgpu",
  "--use-webgpu-adapter=swiftshader",
  "--enable-features=Vulkan",
];
const { tolerances } = readGolden();

// CORE takes a software adapter half a minute: it is asked of WebGPU only where REALM_WEBGPU_SCORE is set.
const SCORE_TOO = Boolean(process.env.REALM_WEBGPU_SCORE);

const browsers: Browser[] = [];
const sites: Site[] = [];

afterEach(async () => {
  for (const browser of browsers.splice(0)) await browser.close();
  for (const site of sites.splice(0)) await site.close();
});

async function compute(query: string, flags: string[] = [], options: Options = {}) {
  const [browser, site] = await Promise.all([launch(flags), serve(options)]);
  browsers.push(browser);
  sites.push(site);
  const page = await browser.newPage(UNKEPT);
  await visit(page, site.url + query);
  await ask(page, FEW); // first, so that the picture is mapped once only
  await choose(page, SMALL);
  await settled(page);
  expect(await page.locator("#alert").isHidden(), (await page.textContent("#alert")) ?? "").toBe(true);
  return {
    runtime: await page.textContent("#runtime"),
    notes: await page.textContent("#notes"),
    provider: await page.getAttribute("#runtime", "data-provider"),
    hasScore: await page.locator("#score").isVisible(),
    ...(await scoreOf(page)),
    ...(await mapOf(page)),
  };
}

const ISOLATION = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

/** Break WebGPU inside the worker, below all code of the page: what a driver that crashes looks like. */
function broken(script: string): Options {
  return {
    change: (file, content) =>
      /assets\/worker-.*\.js$/.test(file)
        ? Buffer.concat([Buffer.from(script), content])
        : withoutCore(file, content),
  };
}

/** The bundle without CORE, as a bundle of maps alone is made. */
function withoutCore(file: string, content: Buffer): Buffer {
  if (file !== "bundle/bundle.json") return content;
  const manifest = JSON.parse(content.toString());
  for (const name of ["core", "core_text"]) Reflect.deleteProperty(manifest.graphs, name);
  for (const section of ["core", "measures", "towers"]) Reflect.deleteProperty(manifest, section);
  return Buffer.from(JSON.stringify(manifest));
}

test("one thread, several threads and WebGPU give the same numbers", async () => {
  const one = await compute("");
  expect(one.runtime).toBe("WebAssembly, 1 thread");
  const several = await compute("", [], { headers: ISOLATION });
  expect(several.runtime).toMatch(/^WebAssembly, [2-8] threads$/);
  const gpu = await compute("?device=webgpu", SOFTWARE_GPU, SCORE_TOO ? {} : { change: withoutCore });
  expect(gpu.provider).toBe("webgpu");
  expect(gpu.hasScore).toBe(SCORE_TOO);
  if (!SCORE_TOO) expect(gpu.notes).toContain("realm-tiny has no CORE: it draws maps, but no score.");
  for (const other of [several, gpu]) {
    if (other.hasScore) expect(Math.abs(other.mos - one.mos)).toBeLessThanOrEqual(tolerances.mos_max_abs);
    expect(maxDifference(other.values, one.values)).toBeLessThanOrEqual(tolerances.map_max_abs);
  }
});

test("a software adapter is not taken for a graphics card", async () => {
  const found = await compute("", SOFTWARE_GPU);
  expect(found.runtime).toBe("WebAssembly, 1 thread");
});

test("WebGPU that gives no device falls back to WebAssembly, and the page says so", async () => {
  const script = `GPUAdapter.prototype.requestDevice = () => Promise.reject(new Error("driver crashed"));\n`;
  const found = await compute("?device=webgpu", SOFTWARE_GPU, broken(script));
  expect(found.runtime).toMatch(/^WebAssembly/);
  expect(found.notes).toContain("WebGPU failed (");
  expect(found.notes).toContain("WebAssembly is used instead, which is slower");
});

test("a graphics card that is lost in the middle is replaced by WebAssembly, and the page says so", async () => {
  const script = `
    const submit = GPUQueue.prototype.submit;
    const request = GPUAdapter.prototype.requestDevice;
    let device = null;
    let calls = 0;
    GPUAdapter.prototype.requestDevice = async function (...given) {
      device = await request.apply(this, given);
      return device;
    };
    GPUQueue.prototype.submit = function (...given) {
      if (++calls === 20) device.destroy();
      return submit.apply(this, given);
    };\n`;
  const found = await compute("?device=webgpu", SOFTWARE_GPU, broken(script));
  expect(found.runtime).toMatch(/^WebAssembly/);
  expect(found.notes).toContain("WebAssembly is used instead, which is slower");
});

test("WebGPU that is asked for and not there is an error", async () => {
  const [browser, site] = await Promise.all([launch(), serve()]);
  browsers.push(browser);
  sites.push(site);
  const page = await browser.newPage(UNKEPT);
  await page.goto(`${site.url}?device=webgpu`);
  await page.waitForSelector("#alert:not([hidden])");
  expect(await page.textContent("#alert")).toContain(
    "this browser offers no WebGPU; leave ?device=webgpu out",
  );
});
