/** The overlay as a picture of its own: the map over the image, and a colour bar that says which end is unreal. */

import { type Limits, ramp } from "../engine/colours";
import { context2d } from "./dom";

const INK = "#1e1e1e";
const PAPER = "#ffffff";
const CHECKS = ["#ffffff", "#cdcdcd"] as const; // what image editors show behind what is transparent

/** Draw image, map and legend on one canvas, laid out like the overlays of `realm-engine map`. */
export function drawOverlay(
  image: HTMLCanvasElement,
  map: HTMLCanvasElement,
  opacity: number,
  [low, high]: Limits,
): HTMLCanvasElement {
  // Small pictures are enlarged by a whole factor, so that the labels stay legible.
  const factor = Math.max(1, Math.ceil(256 / Math.max(image.width, image.height)));
  const [width, height] = [image.width * factor, Math.max(256, image.height * factor)];
  const unit = Math.max(1, Math.min(width, image.height * factor) / 384);
  const margin = 14 * unit;
  const bar = 18 * unit;
  const result = document.createElement("canvas");
  result.width = Math.round(width + 92 * unit);
  result.height = height;
  const context = context2d(result);
  context.fillStyle = PAPER;
  context.fillRect(0, 0, result.width, result.height);
  context.imageSmoothingEnabled = false;
  context.drawImage(image, 0, 0, width, image.height * factor);
  context.globalAlpha = opacity;
  context.drawImage(map, 0, 0, width, image.height * factor);
  context.globalAlpha = 1;

  const [left, top, bottom] = [width + margin, margin + 17 * unit, height - margin - 17 * unit];
  drawRamp(context, left, top, bar, bottom - top, opacity);
  context.strokeStyle = INK;
  context.lineWidth = Math.max(1, unit);
  context.strokeRect(left, top, bar, bottom - top);
  context.fillStyle = INK;
  context.font = `${14 * unit}px system-ui, sans-serif`;
  context.fillText("unreal", left, top - 5 * unit);
  context.fillText("real", left, bottom + 16 * unit);
  context.font = `${12 * unit}px system-ui, sans-serif`;
  for (const [share, shift] of [
    [0, 10],
    [0.5, 4],
    [1, 0],
  ] as const) {
    const value = low + share * (high - low);
    context.fillText(value.toFixed(3), left + bar + 6 * unit, top + share * (bottom - top) + shift * unit);
  }
  return result;
}

/** The colours over checks, unreal above. */
function drawRamp(
  context: CanvasRenderingContext2D,
  left: number,
  top: number,
  width: number,
  height: number,
  opacity: number,
): void {
  const check = width / 4;
  for (let row = 0; row * check < height; row++) {
    for (let column = 0; column < 4; column++) {
      context.fillStyle = CHECKS[(row + column) % 2]!;
      const [x, y] = [left + column * check, top + row * check];
      context.fillRect(x, y, check, Math.min(check, height - row * check));
    }
  }
  const colours = document.createElement("canvas");
  const rgba = ramp();
  colours.width = 1;
  colours.height = rgba.length / 4;
  context2d(colours).putImageData(new ImageData(rgba, 1, colours.height), 0, 0);
  context.globalAlpha = opacity;
  context.drawImage(colours, left, top, width, height);
  context.globalAlpha = 1;
}
