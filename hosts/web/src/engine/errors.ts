/** What a user can cause or cure. Each message is one line: what happened, where, what to do. */

export type ErrorKind = "bundle" | "device" | "image" | "text" | "window" | "usage";

/** Every other exception that escapes is a bug. `kind` names the Python engine's class: "bundle" is BundleError. */
export class RealmError extends Error {
  constructor(
    readonly kind: ErrorKind,
    message: string,
  ) {
    super(message);
    this.name = "RealmError";
  }
}

/** The work was given up because something newer was asked for; nobody needs to be told. */
export class Cancelled extends Error {
  constructor() {
    super("cancelled");
    this.name = "Cancelled";
  }
}

/** The message of whatever was thrown, on one line. */
export function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message || error.name : String(error);
  return text.replace(/\s+/g, " ").trim();
}
