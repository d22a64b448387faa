/** The engine: a bundle opened on a runtime, ready to score pictures and to draw maps. */

import type { Bundle } from "./bundle";
import { askedEncoder, countWindows, Dream, type EncoderChoice, type MapConfig } from "./dream";
import { EachWindow, OnePass, partOf, type Steps, type WindowEncoder } from "./encoders";
import { messageOf, RealmError } from "./errors";
import { PHRASES_LIMITS, TOKENIZER_LIMITS } from "./limits";
import { Looker, type Picture } from "./looker";
import { type DreamSpec, type EncoderName, graphsOf, presetEncoders, type TextSpec } from "./manifest";
import { type Head, lookKey, type Measured, measure, type Parts } from "./measure";
import type { MeasureSpec } from "./measure-specs";
import { among, PhotographGraph, type Photographs, standsOutOf } from "./photographs";
import { type BankEntry, type Phrase, parseBank, phraseConfig, pickPhrases } from "./phrases";
import type { Runtime, Session } from "./runtime";
import { isMissing, TextEncoder } from "./text";
import { Tokenizer } from "./tokenizer";

export interface RealnessMap {
  readonly width: number;
  readonly height: number;
  /** Realness, 1 - cosine, low = unreal; float32 (height, width); 0 where no window covers the pixel. */
  readonly values: Float32Array;
  readonly covered: Uint8Array;
  readonly texts: readonly string[];
  /** What the phrase bank chose; empty where texts were given. */
  readonly phrases: readonly Phrase[];
  /** Where it lies among maps of untouched photographs; null where that is not known. */
  readonly photographs: Photographs | null;
  /** What encoded the windows. */
  readonly encoder: EncoderName;
  readonly windows: number;
  /** Those that phrases were chosen by included. */
  readonly windowsInAll: number;
}

export class Engine {
  private constructor(
    readonly bundle: Bundle,
    private readonly parts: Omit<Parts, "pause">,
    /** Of the descriptions that CORE reads. */
    readonly coreText: TextEncoder | null,
    readonly dream: Dream | null,
    readonly bank: readonly BankEntry[],
  ) {}

  /**
   * Open the graphs of a bundle. `note` is told of texts that are cut, `opening` of each file on its way. `choice`:
   * what encodes the windows of every map, and of choosing phrases. Those that no preset names are opened when asked for.
   * Throws RealmError "bundle" for a damaged file, "device" where the runtime fails, "usage" for an encoder that
   * is not there.
   */
  static async open(
    bundle: Bundle,
    runtime: Runtime,
    note: (text: string) => void,
    opening: (file: string) => void = () => {},
    choice: EncoderChoice = "auto",
  ): Promise<Engine> {
    const { manifest } = bundle;
    const { core, dream } = manifest;
    const asked = dream && askedEncoder(choice, dream, manifest.name);
    const sessions = new Map<string, Promise<Session>>();
    const tokenizers = new Map<string, Promise<Tokenizer>>();

    /** Graphs that share a file share a session. */
    function session(name: string): Promise<Session> {
      const file = bundle.graphFile(name);
      const opened = sessions.get(file) ?? openGraph(file);
      sessions.set(file, opened);
      return opened;
    }

    async function openGraph(file: string): Promise<Session> {
      const bytes = await bundle.read(file);
      opening(file);
      return runtime.open(bytes, bundle.where(file));
    }

    function tokenizer(file: string): Promise<Tokenizer> {
      const opened = tokenizers.get(file) ?? readTokenizer(bundle, file);
      tokenizers.set(file, opened);
      return opened;
    }

    async function textEncoder(
      name: "core_text" | "clip_text",
      spec: TextSpec,
      output: string,
    ): Promise<TextEncoder> {
      const inputs = manifest.graphs.get(name)!.inputs.map((input) => input.name);
      return new TextEncoder(
        await tokenizer(spec.tokenizer),
        spec,
        await session(name),
        inputs,
        output,
        note,
      );
    }

    async function openDream(spec: DreamSpec): Promise<Dream> {
      const text = await textEncoder("clip_text", spec.text, "text_embedding");
      const names = asked === null ? presetEncoders(spec) : [asked];
      for (const graph of names.flatMap(graphsOf)) await session(graph);
      const encoders = spec.encoders.map((name) => [name, windowEncoder(name, spec)] as const);
      return new Dream(spec, text, new Map(encoders), asked, await photographGraph(spec));
    }

    async function photographGraph({ photographs }: DreamSpec): Promise<PhotographGraph | null> {
      if (photographs === null) return null;
      const file = bundle.graphFile("photographs");
      return new PhotographGraph(
        photographs,
        await runtime.openOnCpu(await bundle.read(file), bundle.where(file)),
      );
    }

    function windowEncoder(name: EncoderName, spec: DreamSpec): WindowEncoder {
      if (name === "each-window") return new EachWindow(spec, () => session("dream"));
      const stages = manifest.graphs.get("trunk")!.outputs.map((output) => output.name);
      return new OnePass(
        spec.onePass!,
        () => session("trunk"),
        () => session("windows"),
        stages,
      );
    }

    // One after the other: a model's bytes are dropped before the next one is read.
    const coreText = core && (await textEncoder("core_text", core.text, "text_features"));
    if (core !== null) await session("core");
    const dreamReady = dream && (await openDream(dream));
    const phrases = dream?.phrases ?? null;
    const bank =
      phrases === null
        ? []
        : parseBank(await bundle.readJson(phrases, PHRASES_LIMITS, "a phrase bank"), bundle.where(phrases));

    /** How wide the text features are that a graph takes: as declared, or as CORE's text graph makes them. */
    async function textWidth(graph: string): Promise<number | null> {
      const input = manifest.graphs.get(graph)!.inputs.find(({ name }) => name === "text_features");
      if (input === undefined || input.lastSize !== null) return input?.lastSize ?? null;
      const [row] = (await coreText?.features([""])) ?? [];
      if (row !== undefined) return row.length;
      throw new RealmError(
        "bundle",
        `${manifest.name}: ${graph} does not say how wide its 'text_features' are; export the bundle again`,
      );
    }

    const lookers = new Map<string, Looker>();
    const heads = new Map<string, Head>();
    for (const spec of bundle.measures) {
      const { graph, view, head } = spec;
      const key = lookKey(spec);
      if (!lookers.has(key)) {
        const rank =
          manifest.graphs.get(graph)!.inputs.find(({ name }) => name === "resample_rows")?.rank ?? 2;
        lookers.set(key, new Looker(view, await session(graph), rank, await textWidth(graph)));
      }
      if (head === null || heads.has(head)) continue;
      const file = bundle.graphFile(head);
      const opened = await runtime.openOnCpu(await bundle.read(file), bundle.where(file));
      heads.set(head, { session: opened, input: manifest.graphs.get(head)!.inputs[0]!.name });
    }
    const features = async (text: string) => (await coreText!.features([text]))[0]!;
    return new Engine(bundle, { lookers, heads, features }, coreText, dreamReady, bank);
  }

  /** The measures that this page can compute; the first is the default. */
  get measures(): MeasureSpec[] {
    return this.bundle.measures;
  }

  /**
   * The named measures of a picture, all without names; a blank text means that there is no description.
   * Throws RealmError "usage" for a name that is not there or of a kind that this page does not support.
   */
  async measure(
    picture: Picture,
    text: string,
    names: readonly string[] = this.measures.map((spec) => spec.name),
    pause: () => Promise<void> = async () => {},
  ): Promise<Measured[]> {
    const specs = names.map((name) => this.measureOf(name));
    return measure({ ...this.parts, pause }, specs, picture, isMissing(text) ? null : text);
  }

  private measureOf(name: string): MeasureSpec {
    const found = this.bundle.manifest.measures.find((spec) => spec.name === name);
    const has = this.measures.map((spec) => spec.name).join(", ");
    if (found === undefined) {
      throw new RealmError("usage", `measure ${name} is not in this bundle; it has ${has}`);
    }
    if (found.problem !== null) throw new RealmError("usage", `measure ${name} ${found.problem}`);
    return found;
  }

  /** Map a picture; without texts the phrase bank decides. */
  async map(
    picture: Picture,
    texts: readonly string[],
    config: MapConfig,
    steps: Steps,
  ): Promise<RealnessMap> {
    const { name } = this.bundle.manifest;
    if (this.dream === null) {
      throw new RealmError("bundle", `${name}: this bundle has no DREAM and cannot map; use another`);
    }
    if (texts.some(isMissing)) {
      throw new RealmError(
        "text",
        "the text of a map is empty; describe what looks unreal, or leave the text out",
      );
    }
    // Both throw before any work where a window does not fit, or an encoder is not there.
    const windows = countWindows(config, picture);
    const encoder = this.dream.encoderOf(config);
    let phrases: Phrase[] = [];
    let before = 0;
    if (texts.length === 0) {
      if (this.bank.length === 0) {
        throw new RealmError("text", `${name}: this bundle has no phrase bank; give a text`);
      }
      const largest = Math.max(...config.windowsPx);
      before = countWindows(phraseConfig(largest), picture);
      phrases = await pickPhrases(
        this.dream,
        this.bank,
        this.bundle.manifest.phrasePolicy,
        picture,
        largest,
        partOf(steps, 0, before + windows),
      );
    }
    const used = texts.length > 0 ? texts : phrases.map((phrase) => phrase.text);
    const windowsInAll = before + windows;
    const part = partOf(steps, before, windowsInAll);
    const found = await this.dream.map(picture, used, config, part);
    const known = standsOutOf(this.dream.spec.presets, config, encoder);
    const threshold = texts.length > 0 ? known.text : known.phrases;
    const photographs = found.scale && among(found.scale, found, threshold);
    const { values, covered } = found;
    const { width, height } = picture;
    return {
      width,
      height,
      values,
      covered,
      texts: used,
      phrases,
      photographs,
      encoder,
      windows,
      windowsInAll,
    };
  }
}

async function readTokenizer(bundle: Bundle, file: string): Promise<Tokenizer> {
  const json = await bundle.readJson(file, TOKENIZER_LIMITS, "a tokenizer file");
  try {
    return new Tokenizer(json);
  } catch (error) {
    throw new RealmError(
      "bundle",
      `${bundle.where(file)}: not a tokenizer file (${messageOf(error)}); export the bundle again`,
    );
  }
}
