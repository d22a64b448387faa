/** The only place that knows ONNX Runtime: choosing WebGPU or WebAssembly, opening graphs, running them. */

import type { InferenceSession, Tensor } from "onnxruntime-web";
import { messageOf, RealmError } from "./errors";

export type Provider = "webgpu" | "wasm";
type Ort = typeof import("onnxruntime-web");

/** One input: typed values and their dimensions. */
export type Feed =
  | readonly ["uint8", Uint8Array, readonly number[]]
  | readonly ["int64", BigInt64Array, readonly number[]]
  | readonly ["float32", Float32Array, readonly number[]];

export interface RuntimeInfo {
  provider: Provider;
  threads: number;
  /** Why WebGPU is not used although the browser has it; null where there is nothing to say. */
  fallback: string | null;
}

export interface Answer {
  readonly values: Float32Array;
  readonly dims: readonly number[];
}

export interface Session {
  /** Run the graph and return one float32 output. Throws RealmError "device". */
  run(feeds: Record<string, Feed>, output: string): Promise<Answer>;
}

/** How the host reaches ONNX Runtime: the page loads one of two builds, the tests in Node the Node build. */
export interface RuntimeLoader {
  readonly ort: Ort;
  readonly provider: Provider;
  readonly threads: number;
}

class OrtSession implements Session {
  constructor(
    private readonly runtime: Runtime,
    private readonly model: Uint8Array | null,
    private session: InferenceSession,
    private readonly where: string,
  ) {}

  async run(feeds: Record<string, Feed>, output: string): Promise<Answer> {
    const { ort } = this.runtime;
    const tensors: Record<string, Tensor> = {};
    for (const [name, [type, data, dims]] of Object.entries(feeds)) {
      tensors[name] = new ort.Tensor(type, data as never, dims);
    }
    let results: InferenceSession.OnnxValueMapType;
    try {
      results = await this.session.run(tensors, [output]);
    } catch (error) {
      // A graph that opens on WebGPU may still fail there at its first run: a lost device, a missing kernel.
      if (!(await this.toWasm(error))) {
        throw new RealmError("device", `${this.where}: ONNX Runtime failed (${messageOf(error)})`);
      }
      return this.run(feeds, output);
    }
    const found = results[output];
    if (found === undefined || found.type !== "float32") {
      throw new RealmError("bundle", `${this.where}: no float32 output '${output}'; export the bundle again`);
    }
    const answer = { values: Float32Array.from(found.data as Float32Array), dims: [...found.dims] };
    found.dispose();
    return answer;
  }

  private async toWasm(error: unknown): Promise<boolean> {
    if (this.model === null || !this.runtime.giveUpWebGpu(error, this)) return false;
    this.session = await this.runtime.create(this.model, this.where);
    return true;
  }
}

export class Runtime {
  readonly info: RuntimeInfo;
  readonly ort: Ort;
  private readonly onWasm = new WeakSet<Session>();

  constructor(
    loader: RuntimeLoader,
    private readonly changed: (info: RuntimeInfo) => void = () => {},
  ) {
    this.ort = loader.ort;
    this.info = { provider: loader.provider, threads: loader.threads, fallback: null };
  }

  /** Open a graph. Throws RealmError "bundle" where the runtime refuses the file. */
  async open(model: Uint8Array, where: string): Promise<Session> {
    const onGpu = this.info.provider === "webgpu";
    const session = await this.create(model, where);
    // The bytes are kept only where a second attempt on WebAssembly may need them.
    const opened = new OrtSession(this, onGpu ? model : null, session, where);
    if (this.info.provider === "wasm") this.onWasm.add(opened);
    return opened;
  }

  /** Create ONNX Runtime's session on the provider in use, on WebAssembly where WebGPU fails. */
  async create(model: Uint8Array, where: string): Promise<InferenceSession> {
    try {
      return await this.ort.InferenceSession.create(model, {
        executionProviders: [this.info.provider],
        graphOptimizationLevel: "all",
        logSeverityLevel: 3,
      });
    } catch (error) {
      if (this.info.provider === "webgpu") {
        this.fallBack(error);
        return this.create(model, where);
      }
      throw new RealmError(
        "bundle",
        `${where}: ONNX Runtime cannot open it (${messageOf(error)}); export the bundle again`,
      );
    }
  }

  /** Whether a failed session should be opened again on WebAssembly; remembers that it was. */
  giveUpWebGpu(error: unknown, session: Session): boolean {
    if (this.onWasm.has(session)) return false;
    this.onWasm.add(session);
    if (this.info.provider === "webgpu") this.fallBack(error);
    return true;
  }

  private fallBack(error: unknown): void {
    this.info.provider = "wasm";
    this.info.fallback = `WebGPU failed (${messageOf(error)}); WebAssembly is used instead, which is slower`;
    this.changed({ ...this.info });
  }
}
