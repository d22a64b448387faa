/** Which build of ONNX Runtime this browser gets: WebGPU where there is a graphics card, else WebAssembly. */

import { RealmError } from "../engine/errors";
import { type RuntimeLoader, whyNotWebGpu } from "../engine/runtime";
import type { Device } from "./protocol";

// More threads than this wait for each other in models of this size.
const MAX_THREADS = 8;

// What ONNX Runtime's kernels can make use of; a device has only what it was asked for.
const LIMITS = [
  "maxBindGroups",
  "maxBufferSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupSizeY",
  "maxComputeWorkgroupSizeZ",
  "maxComputeWorkgroupStorageSize",
  "maxComputeWorkgroupsPerDimension",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
] as const;
const FEATURES = ["shader-f16", "subgroups"];

/** The part of WebGPU that is used here; TypeScript's library has none of it. */
interface GpuDevice {
  readonly lost: Promise<{ message: string }>;
}

interface GpuAdapter {
  readonly features: ReadonlySet<string>;
  readonly limits: Readonly<Record<string, number>>;
  readonly info?: { isFallbackAdapter?: boolean };
  readonly isFallbackAdapter?: boolean;
  requestDevice(options: object): Promise<GpuDevice>;
}

interface Gpu {
  requestAdapter(options: object): Promise<GpuAdapter | null>;
}

/** The graphics card, null where there is none. A software adapter is slower than WebAssembly: only if asked for. */
async function findAdapter(acceptSoftware: boolean): Promise<GpuAdapter | null> {
  const gpu = (navigator as unknown as { gpu?: Gpu }).gpu;
  const adapter = await gpu?.requestAdapter({ powerPreference: "high-performance" }).catch(() => null);
  if (!adapter) return null;
  const software = adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter ?? false;
  return software && !acceptSoftware ? null : adapter;
}

/** Asked for here and not by ONNX Runtime, which waits for ever where a driver refuses. */
function openDevice(adapter: GpuAdapter): Promise<GpuDevice> {
  const requiredLimits = Object.fromEntries(
    LIMITS.filter((name) => adapter.limits[name] !== undefined).map((name) => [name, adapter.limits[name]]),
  );
  const requiredFeatures = FEATURES.filter((feature) => adapter.features.has(feature));
  return adapter.requestDevice({ requiredLimits, requiredFeatures });
}

function configure(ort: typeof import("onnxruntime-web"), build: string, assets: string): number {
  // Threads share memory, which browsers allow only to pages that are isolated from others by two headers.
  const threads = crossOriginIsolated ? Math.min(MAX_THREADS, navigator.hardwareConcurrency || 1) : 1;
  ort.env.wasm.wasmPaths = { mjs: `${assets}${build}.mjs`, wasm: `${assets}${build}.wasm` };
  ort.env.wasm.numThreads = threads;
  ort.env.logLevel = "error";
  return threads;
}

/** ONNX Runtime's WebAssembly build. `assets`: address of the folder with its files. */
export async function loadWasm(assets: string): Promise<RuntimeLoader> {
  const ort = await import("onnxruntime-web/wasm");
  return { ort, provider: "wasm", threads: configure(ort, "ort-wasm-simd-threaded", assets) };
}

/** Load ONNX Runtime for a device. Throws RealmError "device" where WebGPU is asked for and not there. */
export async function loadRuntime(device: Device, assets: string): Promise<RuntimeLoader> {
  if (device === "wasm") return loadWasm(assets);
  const adapter = await findAdapter(device === "webgpu");
  if (adapter === null) {
    if (device === "auto") return loadWasm(assets);
    throw new RealmError(
      "device",
      "this browser offers no WebGPU; leave ?device=webgpu out, or use ?device=wasm",
    );
  }
  let gpu: GpuDevice;
  try {
    gpu = await openDevice(adapter);
  } catch (error) {
    return { ...(await loadWasm(assets)), fallback: whyNotWebGpu(error) };
  }
  const ort = await import("onnxruntime-web/webgpu");
  const threads = configure(ort, "ort-wasm-simd-threaded.asyncify", assets);
  ort.env.webgpu.device = gpu as never;
  const lost = gpu.lost.then(({ message }) => message || "the graphics card was lost");
  return { ort, provider: "webgpu", threads, lost };
}
