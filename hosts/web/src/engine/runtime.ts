/** The only place that knows ONNX Runtime: choosing WebGPU or WebAssembly, opening graphs, running them. */

import type { InferenceSession, Tensor } from "onnxruntime-web";
import { messageOf, RealmError } from "./errors";
import { MOST_COSINE } from "./limits";

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
  /** The same for several outputs of one run. */
  runAll(feeds: Record<string, Feed>, outputs: readonly string[]): Promise<Answer[]>;
}

/** One build of ONNX Runtime, ready to open graphs. */
export interface RuntimeLoader {
  readonly ort: Ort;
  readonly provider: Provider;
  readonly threads: number;
  /** Why this is not WebGPU although it might have been. */
  readonly fallback?: string;
  /** Resolves with the reason when the graphics card is lost; its calls may then never return. */
  readonly lost?: Promise<string>;
}

class OrtSession implements Session {
  constructor(
    private readonly runtime: Runtime,
    /** Kept only where the graph may have to be opened once more, on WebAssembly. */
    private readonly model: Uint8Array | null,
    private session: InferenceSession,
    private loader: RuntimeLoader,
    private readonly where: string,
  ) {}

  async run(feeds: Record<string, Feed>, output: string): Promise<Answer> {
    const [answer] = await this.runAll(feeds, [output]);
    return answer!;
  }

  async runAll(feeds: Record<string, Feed>, outputs: readonly string[]): Promise<Answer[]> {
    await this.follow();
    const { loader } = this;
    try {
      return await this.runOnce(feeds, outputs);
    } catch (error) {
      if (error instanceof RealmError) throw error;
      // A graph that opens on WebGPU may still fail there: a lost device, a kernel that is missing.
      if (loader.provider === "webgpu" && this.model !== null) {
        await this.runtime.fallBack(loader, error);
        return this.runAll(feeds, outputs);
      }
      throw new RealmError("device", `${this.where}: ONNX Runtime failed (${messageOf(error)})`);
    }
  }

  /** Open the graph again where another session found out that WebGPU fails. */
  private async follow(): Promise<void> {
    if (this.loader === this.runtime.loader || this.model === null) return;
    const { session, loader } = await this.runtime.create(this.model, this.where);
    this.session = session;
    this.loader = loader;
  }

  private async runOnce(feeds: Record<string, Feed>, outputs: readonly string[]): Promise<Answer[]> {
    const { ort, lost } = this.loader;
    const tensors: Record<string, Tensor> = {};
    for (const [name, [type, data, dims]] of Object.entries(feeds)) {
      tensors[name] = new ort.Tensor(type, data as never, dims);
    }
    const results = await orLost(this.session.run(tensors, outputs), lost);
    return outputs.map((output) => {
      const found = results[output];
      if (found === undefined || found.type !== "float32") {
        throw new RealmError(
          "bundle",
          `${this.where}: no float32 output '${output}'; export the bundle again`,
        );
      }
      const answer = { values: Float32Array.from(found.data as Float32Array), dims: [...found.dims] };
      found.dispose();
      return answer;
    });
  }
}

function openSession(loader: RuntimeLoader, model: Uint8Array): Promise<InferenceSession> {
  return loader.ort.InferenceSession.create(model, {
    executionProviders: [loader.provider],
    graphOptimizationLevel: "all",
    logSeverityLevel: 3,
  });
}

async function createSession(
  loader: RuntimeLoader,
  model: Uint8Array,
  where: string,
): Promise<InferenceSession> {
  try {
    return await openSession(loader, model);
  } catch (error) {
    throw new RealmError(
      "bundle",
      `${where}: ONNX Runtime cannot open it (${messageOf(error)}); export the bundle again`,
    );
  }
}

/** Wait for work on a device, but not for ever on one that is lost. */
function orLost<T>(work: Promise<T>, lost: Promise<string> | undefined): Promise<T> {
  if (lost === undefined) return work;
  const failure = lost.then((reason) => {
    throw new Error(reason);
  });
  return Promise.race([work, failure]);
}

/** The values as they are. Throws RealmError "device", naming the output, where one is NaN or infinite. */
export function finite(values: Float32Array, output: string): Float32Array {
  const bad = values.reduce((count, value) => count + (Number.isFinite(value) ? 0 : 1), 0);
  if (bad > 0) {
    const what = `graph of ${output}: ${bad} of ${values.length} values are NaN or infinite`;
    throw new RealmError("device", `${what}; get the bundle again`);
  }
  return values;
}

/** Cosines as they are. Throws RealmError "device", naming the output, where one is none. */
export function cosines(values: Float32Array, output: string): Float32Array {
  finite(values, output);
  const worst = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  if (worst > MOST_COSINE) {
    const what = `graph of ${output}: a cosine of ${Number(worst.toPrecision(3))} in its answer`;
    throw new RealmError("device", `${what}; get the bundle again`);
  }
  return values;
}

export class Runtime {
  /**
   * `loadWasm` gives the build to go on with when WebGPU fails, `changed` is then told.
   * Throws nothing; the graphs are opened by `open`.
   */
  constructor(
    public loader: RuntimeLoader,
    private readonly loadWasm: () => Promise<RuntimeLoader>,
    private readonly changed: (info: RuntimeInfo) => void = () => {},
  ) {}

  get info(): RuntimeInfo {
    const { provider, threads, fallback } = this.loader;
    return { provider, threads, fallback: fallback ?? null };
  }

  /** Open a graph. Throws RealmError "bundle" where the runtime refuses the file. */
  async open(model: Uint8Array, where: string): Promise<Session> {
    const { session, loader } = await this.create(model, where);
    return new OrtSession(this, loader.provider === "webgpu" ? model : null, session, loader, where);
  }

  /** Open a graph that computes on the CPU whatever the others do: a head is small, and float32 there. */
  async openOnCpu(model: Uint8Array, where: string): Promise<Session> {
    const { lost: _, ...build } = this.loader;
    const loader: RuntimeLoader = { ...build, provider: "wasm" };
    return new OrtSession(this, null, await createSession(loader, model, where), loader, where);
  }

  /** Create ONNX Runtime's session on the build in use, on WebAssembly where WebGPU fails. */
  async create(
    model: Uint8Array,
    where: string,
  ): Promise<{ session: InferenceSession; loader: RuntimeLoader }> {
    const { loader } = this;
    if (loader.provider !== "webgpu") return { session: await createSession(loader, model, where), loader };
    try {
      return { session: await orLost(openSession(loader, model), loader.lost), loader };
    } catch (error) {
      await this.fallBack(loader, error);
      return this.create(model, where);
    }
  }

  /** Go on with WebAssembly, unless another session did so already. */
  async fallBack(failed: RuntimeLoader, error: unknown): Promise<void> {
    if (this.loader !== failed) return;
    this.loader = { ...(await this.loadWasm()), fallback: whyNotWebGpu(error) };
    this.changed(this.info);
  }
}

/** What the user is told when WebGPU was there and failed. */
export function whyNotWebGpu(error: unknown): string {
  return `WebGPU failed (${messageOf(error)}); WebAssembly is used instead, which is slower`;
}
