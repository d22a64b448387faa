import { createHash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin, runnerImport } from "vite";

const here = path.dirname(fileURLToPath(import.meta.url));
const repository = path.resolve(here, "../..");
const ort = path.join(here, "node_modules/onnxruntime-web/dist");
const bundleFolder = path.join(repository, "realm_engine/bundles/realm-tiny");

/** Files that the page fetches by name: address below the page -> file. None is committed twice. */
function staticFiles(): Map<string, string> {
  const files = new Map<string, string>();
  for (const name of fs.readdirSync(bundleFolder)) files.set(`bundle/${name}`, path.join(bundleFolder, name));
  for (const build of ["ort-wasm-simd-threaded", "ort-wasm-simd-threaded.asyncify"]) {
    for (const kind of ["mjs", "wasm"]) files.set(`ort/${build}.${kind}`, path.join(ort, `${build}.${kind}`));
  }
  for (const name of ["cat-doubled.png", "coffee-melted.png", "coffee.jpg", "PROVENANCE.md"]) {
    files.set(`samples/${name}`, path.join(repository, "samples", name));
  }
  return files;
}

const TYPES: Record<string, string> = {
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
  ".json": "application/json",
  ".png": "image/png",
  ".jpg": "image/jpeg",
};

function staticFolder(): Plugin {
  const files = staticFiles();
  return {
    name: "realm-static",
    generateBundle() {
      for (const [fileName, file] of files) {
        this.emitFile({ type: "asset", fileName, source: fs.readFileSync(file) });
      }
    },
    configureServer(server) {
      server.middlewares.use((request, response, next) => {
        const file = files.get((request.url ?? "/").slice(1).split("?")[0]!);
        if (file === undefined) return next();
        response.setHeader("Content-Type", TYPES[path.extname(file)] ?? "application/octet-stream");
        fs.createReadStream(file).pipe(response);
      });
    },
  };
}

/**
 * Nothing leaves the machine, and the browser sees to it: the page, and the worker that inherits its policy, may
 * talk to their own server only. Not in development, where Vite's client needs more.
 */
const POLICY = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "worker-src 'self' blob:",
  "manifest-src 'self'",
  "connect-src 'self'",
  "img-src 'self' blob: data:",
  "style-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");

function policy(): Plugin {
  return {
    name: "realm-policy",
    apply: "build",
    transformIndexHtml: () => [
      {
        tag: "meta",
        attrs: { "http-equiv": "Content-Security-Policy", content: POLICY },
        injectTo: "head-prepend",
      },
    ],
  };
}

const SERVICE_WORKER = "sw.js";

const sha256 = (file: string) => createHash("sha256").update(fs.readFileSync(file)).digest("hex");

/** Files of the embedded bundle that the page reads, as its engine says. */
async function modelsOfPage(): Promise<string[]> {
  type Module = typeof import("./src/engine/bundle");
  const { Bundle, MANIFEST } = (await runnerImport<Module>(path.join(here, "src/engine/bundle.ts"))).module;
  const bundle = await Bundle.open({
    where: "bundle/",
    readManifest: async () => fs.readFileSync(path.join(bundleFolder, MANIFEST)),
    read: async (name) => fs.readFileSync(path.join(bundleFolder, name)),
  });
  return bundle.neededFiles();
}

/** Tell the service worker what to keep: every file of the page, and of the bundle what the page reads, with checksums. */
function offline(): Plugin {
  return {
    name: "realm-offline",
    apply: "build",
    enforce: "post",
    async writeBundle({ dir }) {
      const dist = dir!;
      const sums = (names: string[]) =>
        Object.fromEntries(names.map((name) => [name, sha256(path.join(dist, name))]));
      const everything = fs
        .readdirSync(dist, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => path.relative(dist, path.join(entry.parentPath, entry.name)).replaceAll("\\", "/"))
        .sort();
      const models = (await modelsOfPage()).map((name) => `bundle/${name}`).sort();
      const own = everything.filter(
        (name) =>
          name !== SERVICE_WORKER && (!name.startsWith("bundle/") || /\.md$|\/bundle\.json$/.test(name)),
      );
      const release = { files: sums(own), models: sums(models), bundle: "bundle/" };
      const script = path.join(dist, SERVICE_WORKER);
      fs.writeFileSync(
        script,
        `const RELEASE = ${JSON.stringify(release)};\n${fs.readFileSync(script, "utf8")}`,
      );
    },
  };
}

// Two headers that let WebAssembly use threads; see README.
const isolation = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

export default defineConfig({
  base: "./", // works in any folder of any server
  plugins: [staticFolder(), policy(), offline()],
  // ONNX Runtime's own files are fetched from ort/ by name: threads start from them, not from our chunk.
  resolve: { conditions: ["onnxruntime-web-use-extern-wasm", "module", "browser", "import", "default"] },
  worker: { format: "es" },
  build: {
    target: "es2022",
    outDir: "dist",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: {
      input: { index: path.join(here, "index.html"), sw: path.join(here, "src/offline/service-worker.ts") },
      output: {
        // A service worker keeps its address from release to release, and governs the folder that it lies in.
        entryFileNames: ({ name }) => (name === "sw" ? SERVICE_WORKER : "assets/[name]-[hash].js"),
      },
    },
  },
  server: { headers: isolation, fs: { allow: [repository] } }, // the table of colours lies above this folder
  preview: { headers: isolation },
});
