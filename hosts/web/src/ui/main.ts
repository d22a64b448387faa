/** The page: what happens when, and what is said about it. */

import { RealmError } from "../engine/errors";
import type { MeasureSpec } from "../engine/measure-specs";
import type { RuntimeInfo } from "../engine/runtime";
import { Client, WorkerError } from "../worker/client";
import type { BundleFacts, Device, Event } from "../worker/protocol";
import { box, button, counted, number, progressBar } from "./dom";
import { listen } from "./intake";
import { MapView } from "./map-view";
import { clearMeasures, showMeasures } from "./measures-view";
import { clearError, clearNotes, say, showError, showNote } from "./messages";
import { isKept, keepOffline } from "./offline";
import { Settings } from "./settings";
import { Texts } from "./texts";

const query = new URLSearchParams(location.search);
const client = new Client((message) => {
  clearMeasures();
  view.clearMap();
  showError(`The page's worker stopped (${message}); reload the page.`);
});
const view = new MapView();
const texts: Texts = new Texts(() => settings.describe());
const settings: Settings = new Settings(
  () => {
    if (running !== null) stop("The windows changed: the map was stopped.");
  },
  () => texts.values.length === 0,
);

let facts: BundleFacts | null = null;
let hasPicture = false;
let running: AbortController | null = null;
let pictures = 0;

function isCancelled(error: unknown): boolean {
  return error instanceof WorkerError && error.kind === "cancelled";
}

/** Show what the worker could not do; a call that was given up needs no telling. */
function report(error: unknown): void {
  if (isCancelled(error)) return;
  const message = error instanceof Error ? error.message : String(error);
  const known = error instanceof RealmError || (error instanceof WorkerError && error.kind !== "bug");
  showError(known ? message : `Something went wrong that should not (${message}); reload the page.`);
}

/** No picture is there any more: what was asked for instead of it is none. */
function clearPicture(): void {
  running?.abort();
  hasPicture = false;
  view.clearPicture();
  clearMeasures();
  updateButtons();
}

function showRuntime({ provider, threads, fallback }: RuntimeInfo): void {
  const where =
    provider === "webgpu" ? "WebGPU" : `WebAssembly, ${threads} thread${threads === 1 ? "" : "s"}`;
  box("runtime").textContent = where;
  box("runtime").dataset.provider = provider;
  if (fallback !== null) showNote(fallback, true);
}

// ------------------------------------------------------------------ models

async function openBundle(): Promise<void> {
  const device = query.get("device") ?? "auto";
  if (!["auto", "webgpu", "wasm"].includes(device)) {
    showError(`?device=${device}: choose one of auto, webgpu, wasm`);
    return;
  }
  if (!isSecureContext) {
    showNote(
      "This page is neither on https nor on localhost: browsers then neither compare checksums nor keep the models.",
      true,
    );
  }
  const bar = progressBar("loading-bar");
  const line = box("loading-text");
  const done = new Map<string, number>();
  let total = 0;
  const megabytes = (bytes: number) => (bytes / 1e6).toFixed(1);
  const onEvent = (event: Event) => {
    if (event.type === "bundle") total = event.bytes;
    if (event.type === "download") {
      done.set(event.file, event.done);
      const sum = [...done.values()].reduce((a, b) => a + b, 0);
      bar.value = sum / total;
      line.textContent = `${event.file}: ${megabytes(sum)} of ${megabytes(total)} MB in all`;
    }
    if (event.type === "opening") line.textContent = `Opening ${event.file}…`;
    hear(event);
  };
  try {
    const page = new URL(".", location.href).href;
    const given = query.get("bundle");
    const asked = { page, bundle: given ?? "bundle/", device: device as Device };
    // Models of the page's own bundle are its service worker's to forget, which may have those of the next release.
    facts = await client.call("open", { ...asked, prune: given !== null || !isKept() }, { onEvent });
  } catch (error) {
    box("runtime").textContent = "No models";
    box("loading").hidden = true;
    report(error);
    return;
  }
  const kept = facts.cachedBytes === facts.bytes ? "all kept by this browser" : "downloaded";
  line.textContent = `Ready: ${megabytes(facts.bytes)} MB, ${kept}.`;
  box("loading").hidden = true;
  box("loading").dataset.cached = String(facts.cachedBytes);
  const { weightsLicence: whole, mapsLicence: maps } = facts;
  const ofMaps = maps === "" || maps === whole ? "" : `; of maps: ${maps}`;
  const licence = whole === "" ? "" : ` Weights: ${whole.toLowerCase()}${ofMaps}.`;
  const unknown = facts.leftOut.flatMap(({ name, why }) => (why === null ? [name] : []));
  const beyond =
    unknown.length === 0 ? "" : ` Of kinds that this page cannot compute: ${unknown.join(", ")}.`;
  box("about").textContent =
    `Bundle ${facts.name}, ${megabytes(facts.bytes)} MB, ${kept}.${licence}${beyond}`;
  settings.offer(facts.presets);
  texts.suggest(facts.phrases);
  if (facts.measures.length === 0) showNote(`${facts.name} has no CORE: it draws maps, but no score.`, true);
  const wrong = facts.leftOut.flatMap(({ name, why }) => (why === null ? [] : [`${name} ${why}`]));
  if (wrong.length > 0) showNote(`Left out: ${wrong.join("; ")}.`, true);
  if (!facts.canMap) showNote(`${facts.name} has no DREAM: it scores, but draws no map.`, true);
  say("The models are ready.");
  document.body.dataset.ready = "true";
  if (hasPicture) void run(true);
  updateButtons();
  void keepOffline();
}

// ----------------------------------------------------------------- picture

async function openPicture(file: Blob, name: string, text: string | null): Promise<void> {
  const mine = ++pictures;
  running?.abort();
  if (facts !== null) clearError();
  clearNotes();
  if (text !== null) texts.replace(text);
  let shown = false;
  try {
    const picture = await client.call("decode", { file, name });
    if (facts !== null) clearError(); // of a picture before this one; that of a bundle stays
    // Shown even when another one is on its way: the worker keeps it, and that other one may be no picture.
    for (const note of picture.notes) showNote(note);
    view.showPicture(picture.rgba, picture.width, picture.height, name);
    settings.setPicture(picture);
    clearMeasures();
    hasPicture = true;
    updateButtons();
    shown = true;
  } catch (error) {
    clearPicture();
    report(error);
  }
  document.body.dataset.pictures = String(mine);
  if (shown && mine === pictures && facts !== null) await run(true);
}

// --------------------------------------------------------------------- run

/** Events of any call that the user should hear of. */
function hear(event: Event): void {
  if (event.type === "note") showNote(event.text);
  if (event.type === "runtime") showRuntime(event.info);
}

function updateButtons(): void {
  button("run").disabled = facts === null || !hasPicture;
  button("stop").hidden = running === null;
  box("working").hidden = running === null;
}

function stop(why: string): void {
  running?.abort();
  say(why);
  box("map-text").textContent = why;
}

/** Score and map the picture. `automatic`: nobody asked, so a map that would take long waits for the button. */
async function run(automatic: boolean): Promise<void> {
  running?.abort();
  const controller = new AbortController();
  running = controller;
  clearError();
  clearNotes();
  progressBar("map-bar").value = 0;
  box("map-text").textContent = "Scoring…";
  updateButtons();
  let scored = false;
  try {
    if (facts !== null && facts.measures.length > 0) await measure(facts.measures, controller);
    scored = true;
    if (facts?.canMap && !controller.signal.aborted) await map(controller, automatic);
  } catch (error) {
    if (running === controller && !isCancelled(error)) {
      // What stands there answers another question than the one that failed.
      if (!scored) clearMeasures();
      view.clearMap();
    }
    report(error);
  } finally {
    if (running === controller) {
      running = null;
      updateButtons();
    }
  }
}

async function measure(measures: readonly MeasureSpec[], controller: AbortController): Promise<void> {
  const text = texts.values.join(". ");
  const options = { signal: controller.signal, onEvent: hear };
  const { measured } = await client.call("measure", { text }, options);
  if (controller.signal.aborted) return; // it was done before it heard of that
  say(showMeasures(measures, measured, text));
  const failed = measured.flatMap(({ error }) => (error === null ? [] : [error]));
  if (failed.length > 0) showError(failed.join("; "));
}

async function map(controller: AbortController, automatic: boolean): Promise<void> {
  const config = settings.config();
  const why = settings.whyWait();
  if (automatic && why !== null) {
    say(`${counted(settings.count())}: press “Score and map” to start.`);
    showNote(`${why} press “Score and map” to start.`);
    return;
  }
  box("map-text").textContent =
    config.encoder === "one-pass" ? "Looking over the picture…" : "Choosing windows…";
  const onEvent = (event: Event) => {
    hear(event);
    if (event.type !== "windows") return;
    progressBar("map-bar").value = event.done / event.total;
    box("map-text").textContent = `${number(event.done)} of ${number(event.total)} windows`;
  };
  const chosen = texts.values;
  const result = await client.call("map", { texts: chosen, config }, { signal: controller.signal, onEvent });
  settings.measured(result);
  if (controller.signal.aborted) return;
  const quoted = result.texts.map((text) => `“${text}”`).join(", ");
  const origin = result.phrases.length > 0 ? `the bundle's phrases that fit best: ${quoted}` : quoted;
  const sizes = `${config.windowsPx.join(", ")} px, stride ${config.stridePx}`;
  const combined = config.windowsPx.length > 1 ? `, ${config.aggregate}` : "";
  const pass = result.encoder === "one-pass" ? ", in one pass" : "";
  view.showMap(
    result,
    config.stridePx,
    `${counted(result.windows)} of ${sizes}${combined}${pass}, compared with ${origin}.`,
  );
  say(
    `The map is ready: ${counted(result.windows)} in ${result.seconds.toFixed(1)} seconds. ${view.standsOut}`,
  );
}

box("form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (facts !== null && hasPicture) void run(false);
});
button("stop").addEventListener("click", () => stop("Stopped."));
listen({
  picture: (file, name, text) => void openPicture(file, name, text),
  failed: (message) => {
    clearPicture();
    showError(message);
  },
});
void openBundle();
