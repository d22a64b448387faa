/** Windows, stride and aggregate: presets of the bundle, a quick one of the page, or the user's own. */

import { countWindows, gridsOf, type MapConfig } from "../engine/dream";
import { messageOf } from "../engine/errors";
import type { EncoderName, Preset } from "../engine/manifest";
import { phraseConfig } from "../engine/phrases";
import type { TimedMap } from "../worker/protocol";
import { box, counted, input, number, select } from "./dom";
import { type Load, Pace } from "./pace";

// What one thread of WebAssembly encodes in a few seconds with realm-tiny; see README.
const QUICK_WINDOWS = 800;
// Windows that are pooled from one pass while one is encoded by itself.
const POOLED = 30;
// A picture is mapped without being asked while it makes no more windows than this, and in one pass while it has no
// more pixels: that takes one thread about as long.
const AUTOMATIC_WINDOWS = 2 * QUICK_WINDOWS;
const AUTOMATIC_PIXELS = 3e6;
const QUICK = "quick";
const CUSTOM = "custom";

interface Size {
  readonly width: number;
  readonly height: number;
}

/** The preset with the smallest multiple of its stride that keeps a picture's windows below `QUICK_WINDOWS`, or as much work. */
export function quickConfig(preset: MapConfig, size: Size | null): MapConfig {
  for (let factor = 1; ; factor++) {
    const config = { ...preset, stridePx: factor * preset.stridePx };
    if (size === null) return config;
    const load = { encoder: preset.encoder ?? "each-window", windows: fitting(config, size) };
    if (effortOf([load]) <= QUICK_WINDOWS) return config;
  }
}

/** Windows of a preset, 0 where one does not fit: that is said when it is used. */
function fitting(config: MapConfig, size: Size): number {
  try {
    return countWindows(config, size);
  } catch {
    return 0;
  }
}

/** Why a map that nobody asked for waits until somebody does, null where it need not. */
export function whyWait(loads: readonly Load[], { width, height }: Size): string | null {
  if (effortOf(loads) > AUTOMATIC_WINDOWS)
    return `${number(windowsOf(loads))} windows take a while: choose a wider stride, or`;
  const pixels = width * height;
  if (pixels <= AUTOMATIC_PIXELS || loads.every(({ encoder }) => encoder !== "one-pass")) return null;
  return `One pass over ${number(pixels / 1e6)} megapixels takes a while:`;
}

/** The same, in windows that are encoded by themselves. */
function effortOf(loads: readonly Load[]): number {
  return loads.reduce(
    (sum, { encoder, windows }) => sum + windows / (encoder === "one-pass" ? POOLED : 1),
    0,
  );
}

/** How long an estimate is, no more exact than it can be. */
function duration(seconds: number): string {
  if (seconds < 1) return "less than a second";
  return `about ${seconds < 10 ? seconds.toFixed(1) : number(seconds)} s`;
}

function windowsOf(loads: readonly Load[]): number {
  return loads.reduce((sum, load) => sum + load.windows, 0);
}

export class Settings {
  private readonly preset = select("preset");
  private readonly windows = input("windows");
  private readonly stride = input("stride");
  private readonly aggregate = select("aggregate");
  private readonly estimate = box("estimate");
  private presets: readonly Preset[] = [];
  /** Of the preset that was chosen last: own windows are encoded as its are. */
  private encoder: EncoderName = "each-window";
  private size: Size | null = null;
  private readonly pace = new Pace();

  /** `changed`: the user chose other windows. `choosesPhrases`: whether there is no text, so that the bank decides. */
  constructor(
    private readonly changed: () => void,
    private readonly choosesPhrases: () => boolean,
  ) {
    this.preset.addEventListener("change", () => {
      if (this.preset.value !== CUSTOM) this.fill();
      this.update();
    });
    for (const field of [this.windows, this.stride, this.aggregate]) {
      field.addEventListener("change", () => {
        this.preset.value = CUSTOM;
        this.update();
      });
    }
  }

  /** Offer the presets of a bundle, the recommended one first. */
  offer(presets: readonly Preset[]): void {
    this.presets = presets;
    box("settings").hidden = presets.length === 0;
    this.preset.replaceChildren(
      new Option("quick: the recommended one, wider stride for large pictures", QUICK),
      ...presets.map((preset, index) => {
        const name = `${preset.name}: ${preset.windowsPx.join(", ")} px, stride ${preset.stridePx}`;
        return new Option(index === 0 ? `${name} (recommended)` : name, preset.name);
      }),
      new Option("custom", CUSTOM),
    );
    this.fill();
  }

  setPicture(size: Size): void {
    this.size = size;
    this.pace.newPicture();
    if (this.preset.value === QUICK) this.fill();
    this.describe();
  }

  /** Remember how fast the last map was, for the next estimate. */
  measured(map: TimedMap): void {
    const { encoder, windows, windowsInAll } = map;
    this.pace.learn(this.loads(encoder, windows, windowsInAll - windows), map);
    this.describe();
  }

  /** What the fields say. Throws RealmError "window" where they or the picture do not allow it. */
  config(): MapConfig {
    const parts = this.windows.value.split(/[\s,;]+/).filter((part) => part !== "");
    const config: MapConfig = {
      windowsPx: parts.map(Number),
      stridePx: Number(this.stride.value),
      aggregate: this.aggregate.value === "max" ? "max" : "mean",
      encoder: this.encoder,
    };
    if (this.size !== null) gridsOf(config, this.size.height, this.size.width);
    return config;
  }

  /** Windows of the present picture and settings, those for choosing phrases included. Throws as `config` does. */
  count(): number {
    return windowsOf(this.work());
  }

  /** See the function of that name. Throws as `config` does. */
  whyWait(): string | null {
    return this.size && whyWait(this.work(), this.size);
  }

  /** The same by what encodes them. */
  private work(): Load[] {
    const config = this.config();
    if (this.size === null) return [];
    const choosing = this.choosesPhrases() ? phraseConfig(Math.max(...config.windowsPx)) : null;
    const phrases = choosing === null ? 0 : countWindows(choosing, this.size);
    return this.loads(this.encoder, countWindows(config, this.size), phrases);
  }

  /** Windows of a map, and those for choosing phrases, which the recommended preset's encoder encodes. */
  private loads(encoder: EncoderName, windows: number, phrases: number): Load[] {
    const choosing = { encoder: this.presets[0]?.encoder ?? encoder, windows: phrases };
    return [{ encoder, windows }, ...(phrases > 0 ? [choosing] : [])];
  }

  private fill(): void {
    const recommended = this.presets[0];
    if (recommended === undefined) return;
    const chosen = this.presets.find((preset) => preset.name === this.preset.value);
    const config = chosen ?? quickConfig(recommended, this.size);
    this.windows.value = config.windowsPx.join(", ");
    this.stride.value = String(config.stridePx);
    this.aggregate.value = config.aggregate;
    this.encoder = config.encoder ?? recommended.encoder;
  }

  private update(): void {
    this.describe();
    this.changed();
  }

  /** Say how many windows it will be. */
  describe(): void {
    if (this.size === null) return;
    try {
      const seconds = this.pace.estimate(this.work(), this.size);
      const time = seconds === null ? "" : `, ${duration(seconds)} here`;
      const phrases = this.choosesPhrases() ? " (some of them to choose phrases, as there is no text)" : "";
      this.estimate.textContent = `${counted(this.count())}${time}${phrases}.`;
    } catch (error) {
      this.estimate.textContent = messageOf(error);
    }
  }
}
