import { test } from "vitest";
import { launch } from "./browser";
test("probe", async () => {
  const b = await launch((process.env.FLAGS ?? "").split(" ").filter(Boolean));
  console.log(b.version());
  const p = await b.newPage();
  const t0 = Date.now();
  p.on("console", (m) => console.log("console", m.type(), m.text()));
  p.on("pageerror", (e) => console.log("pageerror", e.message));
  await p.goto("http://127.0.0.1:8765/" + (process.env.QUERY ?? ""));
  try { await p.waitForSelector("body[data-ready=true]", { timeout: 60000 }); } catch (e) { console.log("not ready", await p.textContent("#alert"), await p.textContent("#loading-text")); }
  console.log("ready", Date.now() - t0, await p.textContent("#runtime"), await p.textContent("#about"));
  console.log("gpu", await p.evaluate(async () => { const a = await (navigator as any).gpu?.requestAdapter(); return a ? JSON.stringify({v: a.info?.vendor, a: a.info?.architecture, d: a.info?.description, f: a.info?.isFallbackAdapter}) : "none"; }));
  await p.click(".sample >> nth=0");
  await p.waitForSelector("#map:not([hidden])", { timeout: 60000 }).catch(() => {});
  console.log("mapped", Date.now() - t0, await p.textContent("#alert"), await p.textContent("#notes"), await p.textContent("#score"), await p.textContent("#status"), await p.textContent("#made-with"));
  await p.setViewportSize({ width: 1280, height: 900 });
  await p.screenshot({ path: "/tmp/npmtry/light.png", fullPage: true });
  await p.emulateMedia({ colorScheme: "dark" });
  await p.screenshot({ path: "/tmp/npmtry/dark.png", fullPage: true });
  await b.close();
});
