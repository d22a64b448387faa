/** Which build of ONNX Runtime this browser gets: WebGPU where there is a graphics card, else WebAssembly. */

import { RealmError } from "../engine/errors";
import type { RuntimeLoader } from "../engine/runtime";
import type { Device } from "./protocol";

// More threads than this wait for each other in models of this size.
const MAX_THREADS = 8;

interface Gpu {
  requestAdapter(): Promise<{ info?: { isFallbackAdapter?: boolean }; isFallbackAdapter?: boolean } | null>;
}

/** Whether WebGPU is there and is hardware: a software adapter is slower than WebAssembly. */
async function hasGpu(acceptSoftware: boolean): Promise<boolean> {
  const gpu = (navigator as unknown as { gpu?: Gpu }).gpu;
  const adapter = await gpu?.requestAdapter().catch(() => null);
  if (!adapter) return false;
  return acceptSoftware || !(adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter ?? false);
}

/** Load ONNX Runtime. `assets`: address of the folder with its files. Throws RealmError "device". */
export async function loadRuntime(device: Device, assets: string): Promise<RuntimeLoader> {
  const gpu = device !== "wasm" && (await hasGpu(device === "webgpu"));
  if (device === "webgpu" && !gpu) {
    throw new RealmError(
      "device",
      "this browser offers no WebGPU; leave ?device=webgpu out, or use ?device=wasm",
    );
  }
  const ort = gpu ? await import("onnxruntime-web/webgpu") : await import("onnxruntime-web/wasm");
  const build = gpu ? "ort-wasm-simd-threaded.asyncify" : "ort-wasm-simd-threaded";
  // Threads share memory, which browsers allow only to pages that are isolated from others by two headers.
  const threads = crossOriginIsolated ? Math.min(MAX_THREADS, navigator.hardwareConcurrency || 1) : 1;
  ort.env.wasm.wasmPaths = { mjs: `${assets}${build}.mjs`, wasm: `${assets}${build}.wasm` };
  ort.env.wasm.numThreads = threads;
  ort.env.logLevel = "error";
  return { ort, provider: gpu ? "webgpu" : "wasm", threads };
}
