/** The picture, the map over it, its legend, the value under the pointer, and files of both. */

import { colourLimits, heatmap, type Limits, ramp } from "../engine/colours";
import type { RealnessMap } from "../engine/engine";
import { writeNpy } from "../engine/npy";
import { knownLimits } from "../engine/photographs";
import { smooth } from "../engine/smooth";
import { box, canvas, context2d, input, save } from "./dom";
import { drawOverlay } from "./overlay";

const STEP = 1;
const BIG_STEP = 16;

/** What may be said of a map: where photographs were measured for such a map, whether it lies within what they give. */
function standsOutWords({ photographs }: RealnessMap): string {
  if (photographs === null || photographs.standsOut === null) {
    return "It is not known what photographs give here: colours only compare places of this picture.";
  }
  return photographs.standsOut
    ? "Something stands out: coloured places look less real than most photographs do anywhere."
    : "Nothing stands out: the map lies within what photographs give.";
}

export class MapView {
  private readonly image = canvas("image");
  private readonly map = canvas("map");
  private readonly reader = box("reader");
  private readonly pointer = box("pointer");
  private readonly opacity = input("opacity");
  private result: RealnessMap | null = null;
  private limits: Limits = [0, 1];
  private name = "picture";
  private at: [x: number, y: number] | null = null;

  constructor() {
    this.drawLegend();
    this.opacity.addEventListener("input", () => this.showOpacity());
    this.showOpacity();
    this.reader.addEventListener("pointermove", (event) => this.point(event));
    this.reader.addEventListener("pointerdown", (event) => this.point(event));
    this.reader.addEventListener("keydown", (event) => this.move(event));
    this.reader.addEventListener("focus", () => {
      if (this.result !== null && this.at === null)
        this.show(this.result.width >> 1, this.result.height >> 1);
    });
    box("save-values").addEventListener("click", () => this.saveValues());
    box("save-overlay").addEventListener("click", () => this.saveOverlay());
  }

  showPicture(rgba: Uint8ClampedArray<ArrayBuffer>, width: number, height: number, name: string): void {
    this.name = name.replace(/\.[^.]*$/, "") || "picture";
    this.image.width = width;
    this.image.height = height;
    context2d(this.image).putImageData(new ImageData(rgba, width, height), 0, 0);
    this.image.setAttribute("aria-label", `The picture ${name}, ${width} x ${height} pixels`);
    box("stage").hidden = false;
    box("empty").hidden = true;
    this.clearMap();
  }

  /** What is said of the map that is shown. */
  get standsOut(): string {
    return this.result === null ? "" : standsOutWords(this.result);
  }

  /** Show no picture: the one that was asked for is none. */
  clearPicture(): void {
    this.clearMap();
    for (const part of [this.image, this.map]) part.width = part.height = 1; // frees their memory
    box("stage").hidden = true;
    box("empty").hidden = false;
  }

  clearMap(): void {
    this.result = null;
    this.at = null;
    for (const part of [this.map, this.reader, this.pointer, box("result-tools")]) part.hidden = true;
    box("value").textContent = "Point at the map, or focus it and use the arrow keys.";
  }

  /** Show a map of windows that lie `stridePx` apart. */
  showMap(result: RealnessMap, stridePx: number, madeWith: string): void {
    this.clearMap();
    this.result = result;
    const known = knownLimits(result.photographs);
    this.limits = known ?? colourLimits(result.values, result.covered);
    box("stands-out").textContent = standsOutWords(result);
    box("legend-span").textContent =
      known === null
        ? "Colours span this picture's own values: its least real place is magenta, however real it is."
        : "Colours begin where photographs seldom reach.";
    this.map.width = result.width;
    this.map.height = result.height;
    const drawn = smooth(result.values, result.covered, result.width, stridePx);
    const coloured = heatmap(drawn, result.covered, this.limits);
    context2d(this.map).putImageData(new ImageData(coloured, result.width, result.height), 0, 0);
    for (const part of [this.map, this.reader, box("result-tools")]) part.hidden = false;
    const [low, high] = this.limits;
    box("legend-low").textContent = low.toFixed(3);
    box("legend-mid").textContent = ((low + high) / 2).toFixed(3);
    box("legend-high").textContent = high.toFixed(3);
    box("made-with").textContent = madeWith;
  }

  private drawLegend(): void {
    // Left is unreal; low realness stands on the left as well.
    context2d(canvas("legend")).putImageData(new ImageData(ramp(), 256, 1), 0, 0);
  }

  private showOpacity(): void {
    this.map.style.opacity = String(Number(this.opacity.value) / 100);
    box("opacity-value").textContent = `${this.opacity.value} %`;
  }

  private point(event: PointerEvent): void {
    if (this.result === null) return;
    const area = this.reader.getBoundingClientRect();
    const x = Math.floor(((event.clientX - area.left) / area.width) * this.result.width);
    const y = Math.floor(((event.clientY - area.top) / area.height) * this.result.height);
    this.show(x, y);
  }

  private move(event: KeyboardEvent): void {
    const directions: Record<string, [number, number]> = {
      ArrowLeft: [-1, 0],
      ArrowRight: [1, 0],
      ArrowUp: [0, -1],
      ArrowDown: [0, 1],
    };
    const direction = directions[event.key];
    if (direction === undefined || this.at === null) return;
    event.preventDefault();
    const step = event.shiftKey ? BIG_STEP : STEP;
    this.show(this.at[0] + step * direction[0], this.at[1] + step * direction[1]);
  }

  /** Mark a pixel and say its value. */
  private show(toX: number, toY: number): void {
    if (this.result === null) return;
    const { width, height, values, covered } = this.result;
    const x = Math.min(width - 1, Math.max(0, toX));
    const y = Math.min(height - 1, Math.max(0, toY));
    this.at = [x, y];
    this.pointer.hidden = false;
    this.pointer.style.left = `${((x + 0.5) / width) * 100}%`;
    this.pointer.style.top = `${((y + 0.5) / height) * 100}%`;
    const value = values[y * width + x]!;
    box("value").textContent =
      covered[y * width + x] === 0
        ? `x ${x}, y ${y}: no window covers this pixel`
        : `x ${x}, y ${y}: realness ${value.toFixed(3)}, similarity ${(1 - value).toFixed(3)}`;
  }

  private saveValues(): void {
    if (this.result === null) return;
    const { values, height, width } = this.result;
    save(new Blob([writeNpy(values, height, width)]), `${this.name}.npy`);
  }

  private saveOverlay(): void {
    if (this.result === null) return;
    const picture = drawOverlay(this.image, this.map, Number(this.opacity.value) / 100, this.limits);
    picture.toBlob((blob) => {
      if (blob !== null) save(blob, `${this.name}.overlay.png`);
    }, "image/png");
  }
}
