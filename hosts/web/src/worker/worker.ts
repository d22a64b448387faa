/** The worker: models, tokenising and inference, away from the thread that draws the page. */

import { decodePicture } from "../decode/decode";
import { Bundle } from "../engine/bundle";
import { Engine } from "../engine/engine";
import { Cancelled, messageOf, RealmError } from "../engine/errors";
import type { Picture } from "../engine/looker";
import { KINDS } from "../engine/measure-specs";
import { Runtime } from "../engine/runtime";
import { bundleAddress, HttpSource } from "./download";
import type { CallName, Calls, Event, Failure, FromWorker, ToWorker } from "./protocol";
import { loadRuntime, loadWasm } from "./runtimes";

/** The global scope of a worker, which the types of a page do not know. */
const scope = self as unknown as Pick<Worker, "postMessage" | "onmessage">;

interface Context {
  emit(event: Event): void;
  /** Let messages in; throws Cancelled when this call was given up. */
  pause(): Promise<void>;
}

let engine: Engine | null = null;
let picture: Picture | null = null;
/** The call that computes, which hears what the engine has to tell. */
let current: Context | null = null;
const cancelled = new Set<number>();

function post(message: FromWorker, transfer: Transferable[] = []): void {
  scope.postMessage(message, transfer);
}

async function open({ page, bundle: given, device, prune }: Calls["open"]["params"], context: Context) {
  const address = bundleAddress(given, page);
  const source = new HttpSource(address, address.replace(page, ""), (file, done, total) =>
    context.emit({ type: "download", file, done, total }),
  );
  const bundle = await Bundle.open(source);
  if (prune) await source.prune(bundle.manifest);
  const { manifest } = bundle;
  const bytes = bundle.neededFiles().reduce((sum, file) => sum + manifest.files.get(file)!.sizeBytes, 0);
  context.emit({ type: "bundle", bytes });
  const assets = new URL("ort/", page).href;
  const loader = await loadRuntime(device, assets);
  const runtime = new Runtime(
    loader,
    () => loadWasm(assets),
    (info) => current?.emit({ type: "runtime", info }),
  );
  const note = (text: string) => current?.emit({ type: "note", text });
  engine = await Engine.open(bundle, runtime, note, (file) => context.emit({ type: "opening", file }));
  context.emit({ type: "runtime", info: runtime.info });
  return {
    name: manifest.name,
    description: manifest.description,
    weightsLicence: manifest.weightsLicence,
    mapsLicence: manifest.mapsLicence,
    measures: engine.measures,
    leftOut: manifest.measures
      .filter(({ problem }) => problem !== null)
      .map(({ name, kind, problem }) => ({ name, why: KINDS.includes(kind) ? problem : null })),
    canMap: engine.dream !== null,
    presets: manifest.dream?.presets ?? [],
    phrases: engine.bank.map((entry) => entry.text),
    bytes,
    cachedBytes: source.cachedBytes,
  };
}

async function decode({ file, name }: Calls["decode"]["params"]) {
  picture = null; // a file that is none takes the place of the picture before it all the same
  const decoded = await decodePicture(file, name);
  picture = decoded.picture;
  const { width, height, rgb } = picture;
  const rgba = new Uint8ClampedArray(4 * width * height).fill(255);
  for (let from = 0, to = 0; from < rgb.length; from += 3, to += 4) {
    rgba[to] = rgb[from]!;
    rgba[to + 1] = rgb[from + 1]!;
    rgba[to + 2] = rgb[from + 2]!;
  }
  return { width, height, rgba, notes: decoded.notes };
}

function ready(): { engine: Engine; picture: Picture } {
  if (engine === null) throw new RealmError("usage", "the models are not loaded");
  if (picture === null) throw new RealmError("usage", "there is no picture yet; choose one");
  return { engine, picture };
}

async function map({ texts, config }: Calls["map"]["params"], context: Context) {
  const { engine, picture } = ready();
  const start = performance.now();
  const spent = { pass: 0, pooling: 0 };
  const result = await engine.map(picture, texts, config, {
    progress: (done, total) => context.emit({ type: "windows", done, total }),
    pause: () => context.pause(),
    spent: (on, seconds) => {
      spent[on] += seconds;
    },
  });
  return { ...result, seconds: (performance.now() - start) / 1000, spent };
}

const handlers: {
  [K in CallName]: (params: Calls[K]["params"], context: Context) => Promise<Calls[K]["result"]>;
} = {
  open,
  decode,
  measure: async ({ text }, context) => {
    const { engine, picture } = ready();
    return { measured: await engine.measure(picture, text, undefined, () => context.pause()) };
  },
  map,
};

function failureOf(error: unknown): Failure {
  if (error instanceof Cancelled) return { kind: "cancelled", message: error.message };
  if (error instanceof RealmError) return { kind: error.kind, message: error.message };
  console.error(error);
  return { kind: "bug", message: messageOf(error) };
}

function transferables(result: Calls[CallName]["result"]): Transferable[] {
  if ("rgba" in result) return [result.rgba.buffer];
  if ("values" in result) return [result.values.buffer, result.covered.buffer] as ArrayBuffer[];
  return [];
}

async function answer(message: Extract<ToWorker, { type: "call" }>): Promise<void> {
  const { id } = message;
  const context: Context = {
    emit: (event) => post({ type: "event", id, event }),
    pause: async () => {
      await new Promise((resolve) => setTimeout(resolve));
      if (cancelled.has(id)) throw new Cancelled();
    },
  };
  if (message.name !== "decode") current = context;
  try {
    await context.pause();
    const handler = handlers[message.name] as (
      params: unknown,
      context: Context,
    ) => Promise<Calls[CallName]["result"]>;
    const result = await handler(message.params, context);
    post({ type: "result", id, result }, transferables(result));
  } catch (error) {
    post({ type: "failure", id, failure: failureOf(error) });
  } finally {
    cancelled.delete(id);
    if (current === context) current = null;
  }
}

// One call at a time: ONNX Runtime's WebAssembly runs one, and a later call may need what an earlier one made.
// Decoding needs no models, so that a picture shows while they are still on their way.
let decoding = Promise.resolve();
let computing = Promise.resolve();

scope.onmessage = ({ data }: MessageEvent<ToWorker>) => {
  if (data.type === "cancel") cancelled.add(data.id);
  else if (data.name === "decode") decoding = decoding.then(() => answer(data));
  else computing = computing.then(() => answer(data));
};
