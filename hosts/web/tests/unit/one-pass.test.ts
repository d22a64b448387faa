/**
 * Maps in one pass, against those of the Python engine.
 *
 * REALM_ONE_PASS names a folder that tests/hosts/test_web.py writes: bundles (`both` encoders, one pass `alone`, presets
 * that ask for `each` window by itself, presets that all are `passed`), PNG pictures, and `cases.json` with what was
 * asked and answered.
 */

import fs from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { Bundle } from "../../src/engine/bundle";
import { heatmap } from "../../src/engine/colours";
import type { EncoderChoice, MapConfig } from "../../src/engine/dream";
import { Engine, type RealnessMap } from "../../src/engine/engine";
import type { EncoderName } from "../../src/engine/manifest";
import { parseManifest } from "../../src/engine/manifest";
import { knownLimits, type Photographs } from "../../src/engine/photographs";
import type { Runtime } from "../../src/engine/runtime";
import { BUNDLE, folderSource, goldenPicture, maxDifference, nodeRuntime, QUIET, readNpy } from "../helpers";

const folder = process.env.REALM_ONE_PASS;
const TOLERANCE = 1e-4;
const TEXTS = ["yes the face", "a doubled hand"];
type Json = Record<string, unknown>;

interface Case {
  bundle: string;
  choice: EncoderChoice;
  picture: string;
  texts: string[];
  config: MapConfig;
  preset: string;
  encoder: EncoderName;
  windows: number;
  phrases: string[];
  values: string;
  photographs: {
    mean: number;
    std: number;
    z_max: number;
    z_high: number;
    threshold: number | null;
    stands_out: boolean | null;
  } | null;
  limits: [number, number] | null;
}

const near = (value: number) => expect.closeTo(value, 2);

/** In the words of the engine's records. */
function scaleOf(known: Photographs | null) {
  if (known === null) return null;
  const { mean, std, zMax, zHigh, threshold, standsOut } = known;
  return { mean, std, z_max: zMax, z_high: zHigh, threshold, stands_out: standsOut };
}

describe.skipIf(folder === undefined)("bundles that map in one pass", () => {
  const at = folder ?? "";
  const openBundle = (name: string) => Bundle.open(folderSource(path.join(at, name)));
  const picture = (name: string) => goldenPicture(path.join(at, name));

  async function open(name: string, choice?: EncoderChoice, runtime: Runtime = nodeRuntime()) {
    return Engine.open(await openBundle(name), runtime, () => {}, undefined, choice);
  }

  /** A runtime that says which graphs were opened, and which ran. */
  function watched() {
    const runtime = nodeRuntime();
    const openGraph = runtime.open.bind(runtime);
    const [opened, runs]: [string[], string[]] = [[], []];
    runtime.open = async (model, where) => {
      const graph = path.basename(where, ".onnx");
      const session = await openGraph(model, where);
      opened.push(graph);
      return {
        run: (feeds, output) => {
          runs.push(graph);
          return session.run(feeds, output);
        },
        runAll: (feeds, outputs) => {
          runs.push(graph);
          return session.runAll(feeds, outputs);
        },
      };
    };
    return { runtime, opened, runs, times: (graph: string) => runs.filter((name) => name === graph).length };
  }

  const cases: Case[] =
    folder === undefined ? [] : JSON.parse(fs.readFileSync(path.join(at, "cases.json"), "utf8"));

  test.each([
    ["both", "auto"],
    ["both", "one-pass"],
    ["both", "each-window"],
    ["alone", "auto"],
    ["each", "auto"],
    ["scaled", "auto"],
    ["scaled", "each-window"],
  ] as const)("maps of the bundle %s by %s are the Python engine's", async (bundle, choice) => {
    const engine = await open(bundle, choice);
    const mine = cases.filter((entry) => entry.bundle === bundle && entry.choice === choice);
    expect(mine.length).toBeGreaterThan(10);
    for (const entry of mine) {
      const preset = engine.dream!.spec.presets.find(({ name }) => name === entry.preset);
      const config = preset ?? entry.config;
      const map = await engine.map(await picture(entry.picture), entry.texts, config, QUIET);
      const what = `${entry.picture} ${JSON.stringify(config)}`;
      const expected = readNpy(new Uint8Array(fs.readFileSync(path.join(at, entry.values))));
      expect([map.height, map.width], what).toEqual(expected.shape);
      expect([map.encoder, map.windows], what).toEqual([entry.encoder, entry.windows]);
      expect(
        map.phrases.map((phrase) => phrase.text),
        what,
      ).toEqual(entry.phrases);
      expect(maxDifference(map.values, expected.values), what).toBeLessThanOrEqual(TOLERANCE);
      expect(scaleOf(map.photographs), what).toEqual(
        entry.photographs && {
          mean: near(entry.photographs.mean),
          std: near(entry.photographs.std),
          z_max: near(entry.photographs.z_max),
          z_high: near(entry.photographs.z_high),
          threshold: entry.photographs.threshold,
          stands_out: entry.photographs.stands_out,
        },
      );
      const limits = knownLimits(map.photographs);
      expect(limits === null, what).toBe(entry.limits === null);
      for (const [end, value] of (limits ?? []).entries()) {
        const right = entry.limits![end]!;
        expect(Math.abs(value - right), what).toBeLessThanOrEqual(1e-5 * Math.abs(right) + 10 * TOLERANCE);
      }
    }
  });

  test("a bundle with a scale colours nothing where nothing stands out, and all the map where all does", async () => {
    const engine = await open("scaled");
    const preset = engine.dream!.spec.presets.find(({ name }) => name === "tiny")!;
    const image = await picture("a.png");
    const densest = (map: RealnessMap) => {
      const limits = knownLimits(map.photographs)!;
      return Math.max(...heatmap(map.values, map.covered, limits).filter((_, at) => at % 4 === 3));
    };
    const given = await engine.map(image, TEXTS.slice(0, 1), preset, QUIET);
    expect([given.photographs!.standsOut, densest(given)]).toEqual([false, 0]);
    const picked = await engine.map(image, [], preset, QUIET);
    expect(picked.photographs!.standsOut).toBe(true);
    expect(densest(picked)).toBeGreaterThan(150);
  });

  test("the two encoders are two functions", async () => {
    const engine = await open("both");
    const image = await picture("a.png");
    const config = { windowsPx: [24], stridePx: 8, aggregate: "mean" } as const;
    const [one, each] = [
      await engine.map(image, TEXTS, { ...config, encoder: "one-pass" }, QUIET),
      await engine.map(image, TEXTS, { ...config, encoder: "each-window" }, QUIET),
    ];
    expect(maxDifference(one.values, each.values)).toBeGreaterThan(100 * TOLERANCE);
  });

  test("the trunk runs once for all texts, sizes and phrases of a picture, and again for another", async () => {
    const { runtime, times } = watched();
    const engine = await open("both", "auto", runtime);
    const config = { windowsPx: [24, 16], stridePx: 8, aggregate: "mean" } as const;
    const spent: string[] = [];
    const steps = { ...QUIET, spent: (on: string) => spent.push(on) };
    const image = await picture("a.png");
    await engine.map(image, [], config, steps);
    await engine.map(image, TEXTS, config, steps);
    expect([times("trunk"), times("windows"), times("dream")]).toEqual([1, 5, 0]);
    await engine.map(await picture("b.png"), TEXTS, config, steps);
    expect(times("trunk")).toBe(2);
    expect(spent.filter((on) => on === "pass")).toHaveLength(2);
    expect(spent.filter((on) => on === "pooling")).toHaveLength(times("windows"));
  });

  test("many windows take several calls, each told and each a chance to stop", async () => {
    const { runtime, times } = watched();
    const engine = await open("both", "auto", runtime);
    const config = { windowsPx: [11], stridePx: 1, aggregate: "mean" } as const;
    const image = await picture("a.png");
    const told: number[][] = [];
    let left = 3;
    await engine.map(image, TEXTS, config, { ...QUIET, progress: (...windows) => told.push(windows) });
    expect(told.length).toBe(times("windows"));
    expect(told.length).toBeGreaterThan(2);
    expect(told.at(-1)).toEqual([130 * 140, 130 * 140]);
    const pause = async () => {
      if (left-- === 0) throw new Error("stopped");
    };
    await expect(engine.map(await picture("a.png"), TEXTS, config, { ...QUIET, pause })).rejects.toThrow(
      "stopped",
    );
    expect([times("trunk"), times("windows")]).toEqual([2, told.length + 2]);
  });

  test("only what presets ask for is downloaded; the rest is opened when somebody wants it", async () => {
    const dream = (files: string[]) => files.filter((file) => /^(dream|trunk|windows)\.onnx$/.test(file));
    for (const [name, files] of [
      ["both", ["trunk.onnx", "windows.onnx", "dream.onnx"]],
      ["alone", ["trunk.onnx", "windows.onnx"]],
      ["passed", ["trunk.onnx", "windows.onnx"]],
      ["each", ["dream.onnx"]],
    ] as const) {
      expect(dream((await openBundle(name)).neededFiles()), name).toEqual(files);
    }
    const { runtime, opened } = watched();
    const engine = await open("passed", "auto", runtime);
    expect(opened).not.toContain("dream");
    const config = { windowsPx: [24], stridePx: 8, aggregate: "mean", encoder: "each-window" } as const;
    expect((await engine.map(await picture("a.png"), TEXTS, config, QUIET)).encoder).toBe("each-window");
    expect(opened).toContain("dream");
  });

  test("an encoder that is not there is an error", async () => {
    const config = { windowsPx: [24], stridePx: 8, aggregate: "mean" } as const;
    const engine = await open("alone");
    const image = await picture("a.png");
    await expect(
      engine.map(image, TEXTS, { ...config, encoder: "each-window" }, QUIET),
    ).rejects.toMatchObject({
      kind: "usage",
      message: "encoder each-window: this bundle has one-pass alone",
    });
    const wrong = "two-pass" as EncoderName;
    await expect(engine.map(image, TEXTS, { ...config, encoder: wrong }, QUIET)).rejects.toMatchObject({
      kind: "usage",
      message: "encoder is 'two-pass'; choose one of each-window, one-pass",
    });
    await expect(open("alone", "each-window")).rejects.toMatchObject({
      kind: "usage",
      message: "test-bundle: its maps cannot be made by each-window, only by one-pass",
    });
    await expect(open("alone", wrong)).rejects.toMatchObject({
      kind: "usage",
      message: "encoder is 'two-pass'; choose one of auto, each-window, one-pass",
    });
  });

  /** The manifest of a bundle, changed. */
  function manifestOf(name: string, change: (manifest: Json, dream: Json) => void): Json {
    const manifest: Json = JSON.parse(fs.readFileSync(path.join(at, name, "bundle.json"), "utf8"));
    change(manifest, manifest.dream as Json);
    return manifest;
  }

  test.each<[Json | undefined, string]>([
    [
      { cells_px: [4, 6], halo_px: 8 },
      "m, 'dream', 'one_pass': cells of 4, 6 px and a halo of 8 px do not fit into one another; export the",
    ],
    [{ cells_px: [4, 8], halo_px: 12 }, "a halo of 12 px do not fit into one another"],
    [
      { cells_px: [], halo_px: 8 },
      "m, 'dream', 'one_pass': 'cells_px' must list 1 to 64 whole numbers from 1",
    ],
    [{ cells_px: [4, 8], halo_px: 0 }, "'halo_px' is 0, below 1"],
    [{ cells_px: [4, 8], halo_px: 32768 }, "'halo_px' is 32768, above 16384; export the bundle again"],
    [{ cells_px: [4, 8] }, "'halo_px' is missing"],
    [undefined, "m, 'dream', 'one_pass' must be a JSON object; export the bundle again"],
  ])("one_pass = %j is refused", (section, message) => {
    const manifest = manifestOf("both", (_, dream) => {
      dream.one_pass = section;
    });
    expect(() => parseManifest(manifest, "m")).toThrow(message);
  });

  test("a preset's encoder must be there; one that names none has the first", () => {
    const presets = (dream: Json) => dream.presets as Record<string, Json>;
    const missing = manifestOf("alone", (_, dream) => {
      presets(dream).tiny!.encoder = "each-window";
    });
    expect(() => parseManifest(missing, "m")).toThrow("'encoder' is 'each-window', must be one of one-pass");
    const encoderOfTiny = (name: string) => {
      const manifest = manifestOf(name, (_, dream) => {
        delete presets(dream).tiny!.encoder;
      });
      const { encoders, presets: parsed } = parseManifest(manifest, "m").dream!;
      return [encoders, parsed.find(({ name }) => name === "tiny")!.encoder];
    };
    expect(encoderOfTiny("both")).toEqual([["one-pass", "each-window"], "each-window"]);
    expect(encoderOfTiny("alone")).toEqual([["one-pass"], "one-pass"]);
  });

  test("half of the graphs of one pass are none", () => {
    const half = manifestOf("each", (manifest) => {
      delete (manifest.graphs as Json).windows;
    });
    expect(parseManifest(half, "m").dream!.encoders).toEqual(["each-window"]);
    const none = manifestOf("alone", (manifest) => {
      delete (manifest.graphs as Json).windows;
    });
    expect(parseManifest(none, "m").dream).toBeNull();
  });
});

test("a bundle of earlier formats encodes each window", async () => {
  const content = JSON.parse(fs.readFileSync(path.join(BUNDLE, "bundle.json"), "utf8"));
  for (const graph of ["trunk", "windows", "photographs"]) delete content.graphs[graph];
  for (const key of ["one_pass", "photographs"]) delete content.dream[key];
  for (const preset of Object.values<Record<string, unknown>>(content.dream.presets)) {
    delete preset.encoder;
    delete preset.stands_out;
  }
  const { dream } = parseManifest({ ...content, format_version: "1.1" }, "bundle.json");
  const { encoders, onePass, presets } = dream!;
  expect([encoders, onePass]).toEqual([["each-window"], null]);
  expect(presets.map((preset) => preset.encoder)).toEqual(["each-window", "each-window"]);
});
