/** Windows, stride and aggregate: presets of the bundle, a quick one of the page, or the user's own. */

import { countWindows, gridsOf, type MapConfig } from "../engine/dream";
import { messageOf } from "../engine/errors";
import type { Preset } from "../engine/manifest";
import { phraseConfig } from "../engine/phrases";
import { box, counted, input, number, select } from "./dom";

// What one thread of WebAssembly does in a few seconds with realm-tiny; see README.
const QUICK_WINDOWS = 800;
/** A picture is mapped without being asked while it makes no more windows than this. */
export const AUTOMATIC_WINDOWS = 2 * QUICK_WINDOWS;
const QUICK = "quick";
const CUSTOM = "custom";

interface Size {
  readonly width: number;
  readonly height: number;
}

/** The preset with the smallest multiple of its stride that keeps a picture below `QUICK_WINDOWS`. */
export function quickConfig(preset: MapConfig, size: Size | null): MapConfig {
  const { windowsPx, aggregate } = preset;
  for (let factor = 1; ; factor++) {
    const config = { windowsPx, aggregate, stridePx: factor * preset.stridePx };
    if (size === null || fitting(config, size) <= QUICK_WINDOWS) return config;
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

export class Settings {
  private readonly preset = select("preset");
  private readonly windows = input("windows");
  private readonly stride = input("stride");
  private readonly aggregate = select("aggregate");
  private readonly estimate = box("estimate");
  private presets: readonly Preset[] = [];
  private size: Size | null = null;
  private windowsPerSecond: number | null = null;

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
      new Option("quick: wider stride", QUICK),
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
    if (this.preset.value === QUICK) this.fill();
    this.describe();
  }

  /** Remember how fast the last map was, for the next estimate. */
  measured(windows: number, seconds: number): void {
    if (seconds > 0.2) this.windowsPerSecond = windows / seconds;
    this.describe();
  }

  /** What the fields say. Throws RealmError "window" where they or the picture do not allow it. */
  config(): MapConfig {
    const parts = this.windows.value.split(/[\s,;]+/).filter((part) => part !== "");
    const config: MapConfig = {
      windowsPx: parts.map(Number),
      stridePx: Number(this.stride.value),
      aggregate: this.aggregate.value === "max" ? "max" : "mean",
    };
    if (this.size !== null) gridsOf(config, this.size.height, this.size.width);
    return config;
  }

  /** Windows of the present picture and settings, those for choosing phrases included. Throws as `config` does. */
  count(): number {
    const config = this.config();
    if (this.size === null) return 0;
    const choosing = this.choosesPhrases() ? phraseConfig(Math.max(...config.windowsPx)) : null;
    return countWindows(config, this.size) + (choosing === null ? 0 : countWindows(choosing, this.size));
  }

  private fill(): void {
    const recommended = this.presets[0];
    if (recommended === undefined) return;
    const chosen = this.presets.find((preset) => preset.name === this.preset.value);
    const config = chosen ?? quickConfig(recommended, this.size);
    this.windows.value = config.windowsPx.join(", ");
    this.stride.value = String(config.stridePx);
    this.aggregate.value = config.aggregate;
  }

  private update(): void {
    this.describe();
    this.changed();
  }

  /** Say how many windows it will be. */
  describe(): void {
    if (this.size === null) return;
    try {
      const windows = this.count();
      const seconds = this.windowsPerSecond === null ? null : windows / this.windowsPerSecond;
      const time =
        seconds === null ? "" : `, about ${seconds < 10 ? seconds.toFixed(1) : number(seconds)} s here`;
      const phrases = this.choosesPhrases() ? " (some of them to choose phrases, as there is no text)" : "";
      this.estimate.textContent = `${counted(windows)}${time}${phrases}.`;
    } catch (error) {
      this.estimate.textContent = messageOf(error);
    }
  }
}
