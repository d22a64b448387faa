/** NumPy's file format, version 1.0, for two-dimensional little-endian float32 arrays. */

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];

/** Bytes that `numpy.load` reads as float32 (height, width), C order. */
export function writeNpy(values: Float32Array, height: number, width: number): Uint8Array<ArrayBuffer> {
  const description = `{'descr': '<f4', 'fortran_order': False, 'shape': (${height}, ${width}), }`;
  const start = MAGIC.length + 4;
  const padding = 64 - ((start + description.length + 1) % 64);
  const header = `${description}${" ".repeat(padding % 64)}\n`;
  const bytes = new Uint8Array(start + header.length + 4 * values.length);
  const view = new DataView(bytes.buffer);
  bytes.set(MAGIC);
  view.setUint8(6, 1);
  view.setUint16(8, header.length, true);
  bytes.set(new TextEncoder().encode(header), start);
  for (let i = 0; i < values.length; i++) view.setFloat32(start + header.length + 4 * i, values[i]!, true);
  return bytes;
}
