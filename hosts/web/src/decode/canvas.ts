/** Reading pixels that the browser has decoded. */

export function readableCanvas(width: number, height: number): OffscreenCanvasRenderingContext2D {
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  if (context === null) throw new Error("this browser gives no canvas of that size");
  return context;
}

/** RGBA of a bitmap, in sRGB, straight alpha (of what is half transparent rounded on the way). */
export function pixelsOf(bitmap: ImageBitmap): Uint8ClampedArray {
  const context = readableCanvas(bitmap.width, bitmap.height);
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, bitmap.width, bitmap.height).data;
}

let honest: boolean | null = null;

/** Whether a canvas gives back what was put in it: some browsers add noise that makes pages forget a visitor. */
export function canvasIsHonest(): boolean {
  if (honest === null) {
    const size = 16;
    const context = readableCanvas(size, size);
    const pattern = new ImageData(size, size);
    for (let i = 0; i < pattern.data.length; i++) pattern.data[i] = i % 4 === 3 ? 255 : (i * 37) % 256;
    context.putImageData(pattern, 0, 0);
    const read = context.getImageData(0, 0, size, size).data;
    honest = pattern.data.every((value, i) => read[i] === value);
  }
  return honest;
}
