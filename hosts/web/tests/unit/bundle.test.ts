/** Damaged and hostile bundles, one fault each, in the words of the Python engine. */

import fs from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { Bundle, checkFile } from "../../src/engine/bundle";
import { parseManifest } from "../../src/engine/manifest";
import { Tokenizer } from "../../src/engine/tokenizer";
import { bundleAddress } from "../../src/worker/download";
import { BUNDLE, folderSource } from "../helpers";

type Json = Record<string, unknown>;
const text = fs.readFileSync(path.join(BUNDLE, "bundle.json"), "utf8");

/** The manifest with the value at a path of keys replaced, or taken away where there is none. */
function changed(keys: string, value?: unknown): Json {
  const manifest: Json = JSON.parse(text);
  const path = keys.split("/");
  const last = path.pop()!;
  const parent = path.reduce((json, key) => json[key] as Json, manifest);
  if (value === undefined) delete parent[last];
  else parent[last] = value;
  return manifest;
}

test("the embedded bundle is read", async () => {
  const { manifest } = await Bundle.open(folderSource(BUNDLE));
  expect(manifest.name).toBe("realm-tiny");
  expect(manifest.dream?.presets.map((preset) => preset.name)).toEqual(["released", "paper"]);
});

describe("manifests", () => {
  test.each<[string, unknown, string]>([
    ["format", "zip", "m: 'format' is not 'realm-bundle'; this is no REALM bundle"],
    ["format_version", "2.1", "m: format version 2.1, but this engine reads 1.x; update realm-engine"],
    ["format_version", "0.9", "m: format version 0.9, but this engine reads 1.x; export the bundle again"],
    ["format_version", "new", "m: format version 'new' is not a version; export the bundle again"],
    ["name", 7, "m: 'name' is 7, of the wrong kind; export the bundle again"],
    ["graphs", [], "m, 'graphs' must be a JSON object; export the bundle again"],
    [
      "graphs",
      {},
      "m, 'measures', 'core': the graphs core_text and core are not there; export the bundle again",
    ],
    ["graphs/core/variants", {}, "m, 'graphs', 'core': no variant; export the bundle again"],
    ["core/image/height_px", 0, "m, 'core', 'image': 'height_px' is 0, below 1; export the bundle again"],
    ["core/image/height_px", true, "m, 'core', 'image': 'height_px' is true, of the wrong kind"],
    ["core/image/interpolation", "lanczos", "'interpolation' is 'lanczos', must be one of bilinear, bicubic"],
    ["core/text/buckets", [32], "m, 'core', 'text': 'buckets' must end with 'max_tokens'"],
    [
      "core/text/buckets",
      [],
      "'buckets' must list 1 to 64 whole numbers from 1 to 2147483647; export it again",
    ],
    [
      "core/text/tokenizer",
      "other.json",
      "m: the manifest does not list 'other.json'; export the bundle again",
    ],
    ["dream/presets", {}, "m, 'dream': no preset; export the bundle again"],
    ["dream/recommended_preset", "best", "'recommended_preset' is 'best', must be one of released, paper"],
    [
      "dream/phrases",
      "/etc/passwd",
      "the path '/etc/passwd' leaves the bundle; do not use a bundle that asks",
    ],
  ])("%s = %j", (keys, value, message) => {
    expect(() => parseManifest(changed(keys, value), "m")).toThrow(message);
  });

  test.each(["../x", "a/../../x", "/x", "C:/x", "a\\b", "", "a\0b", "."])("the path %j", (file) => {
    expect(() => parseManifest(changed("graphs/core/variants/fp32", file), "m")).toThrow("leaves the bundle");
  });

  test("a bundle that holds nothing", () => {
    const manifest = changed("graphs", {});
    for (const measures of [undefined, {}]) {
      expect(() => parseManifest(JSON.parse(JSON.stringify({ ...manifest, measures })), "m")).toThrow(
        "m: nothing in it can be run; neither a measure nor maps are complete, export it again",
      );
    }
  });

  test("fields and graphs of a later minor version are ignored", () => {
    const manifest = changed("format_version", "1.7");
    (manifest.graphs as Json).other = { variants: {} };
    manifest.new = 1;
    expect(parseManifest(manifest, "m").name).toBe("realm-tiny");
  });

  test("maps may be licensed otherwise than scores", () => {
    const free = { weights: "Apache-2.0", commercial_use: true };
    expect(parseManifest(changed("dream/licence", free), "m").mapsLicence).toBe("Apache-2.0");
    const { mapsLicence, weightsLicence } = parseManifest(changed("dream/licence"), "m");
    expect(weightsLicence).toMatch(/non-commercial/);
    expect(mapsLicence).toBe(weightsLicence);
  });

  test("every missing field is an error, no crash", () => {
    for (const keys of [
      "files",
      "graphs",
      "core",
      "dream",
      "core/text",
      "core/rating/slope",
      "dream/image_size_px",
    ]) {
      expect(() => parseManifest(changed(keys), "m"), keys).toThrow(
        /export the bundle again|must be a JSON object/,
      );
    }
    for (const json of [null, 1, "x", [], {}]) expect(() => parseManifest(json, "m")).toThrow("m");
  });
});

test("files of the wrong size or content", async () => {
  const entry = { sizeBytes: 3, sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" };
  await checkFile("f", new TextEncoder().encode("abc"), entry);
  await expect(checkFile("f", new TextEncoder().encode("ab"), entry)).rejects.toThrow(
    "f: has 2 bytes, the manifest says 3; get the bundle again",
  );
  await expect(checkFile("f", new TextEncoder().encode("abd"), entry)).rejects.toThrow(
    "f: wrong checksum (sha256 is",
  );
});

test("tokenizers that this page does not know are refused", () => {
  const json: Json = JSON.parse(fs.readFileSync(path.join(BUNDLE, "tokenizer.json"), "utf8"));
  for (const [key, value, message] of [
    ["model", { type: "Unigram" }, "the model Unigram is not known to this page"],
    ["normalizer", { type: "Nmt" }, "the normalizer Nmt is not known"],
    ["pre_tokenizer", { type: "Metaspace" }, "the pre-tokenizer Metaspace is not known"],
    ["post_processor", { type: "Other" }, "the post-processor Other is not known"],
  ] as const) {
    expect(() => new Tokenizer({ ...json, [key]: value })).toThrow(message);
  }
  for (const broken of [null, {}, { model: 1 }, []]) expect(() => new Tokenizer(broken)).toThrow();
});

test("addresses of bundles", () => {
  const page = "http://localhost/sub/";
  expect(bundleAddress("bundle", page)).toBe("http://localhost/sub/bundle/");
  expect(bundleAddress("/models/x/?a#b", page)).toBe("http://localhost/models/x/");
  for (const other of ["http://elsewhere/bundle/", "//elsewhere/", "https://localhost/", "data:x"]) {
    expect(() => bundleAddress(other, page), other).toThrow("another server");
  }
});
