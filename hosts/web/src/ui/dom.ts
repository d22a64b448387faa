/** The elements of index.html, by id and kind. */

/** The element with an id; throws where the page has none of that kind, which is a bug. */
export function element<T extends HTMLElement>(id: string, kind: new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`index.html has no ${kind.name} #${id}`);
  return found;
}

export const box = (id: string) => element(id, HTMLElement);
export const button = (id: string) => element(id, HTMLButtonElement);
export const input = (id: string) => element(id, HTMLInputElement);
export const select = (id: string) => element(id, HTMLSelectElement);
export const canvas = (id: string) => element(id, HTMLCanvasElement);
export const progressBar = (id: string) => element(id, HTMLProgressElement);

/** A 2D context; null is a browser without canvas, which cannot come this far. */
export function context2d(of: HTMLCanvasElement): CanvasRenderingContext2D {
  const context = of.getContext("2d");
  if (context === null) throw new Error("this browser gives no canvas of that size");
  return context;
}

/** Give a file to the user as a download. */
export function save(content: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

export function number(value: number): string {
  return value.toLocaleString("en", { maximumFractionDigits: 0 });
}

/** A number of windows, in words. */
export function counted(windows: number): string {
  return `${number(windows)} window${windows === 1 ? "" : "s"}`;
}
