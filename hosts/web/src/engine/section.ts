/** Checked access to JSON that nobody vouches for: every fault is an error that names the field. */

import { RealmError } from "./errors";
import { MOST_NUMBER, MOST_SIZES, MOST_WHOLE } from "./limits";

/** Throw RealmError "bundle" for what an export would mend. */
export function refuse(where: string, what: string): never {
  throw new RealmError("bundle", `${where}: ${what}; export the bundle again`);
}

/** A JSON object together with the place it stands, for errors that name both. */
export class Section {
  readonly data: Record<string, unknown>;

  constructor(
    data: unknown,
    readonly where: string,
  ) {
    if (typeof data !== "object" || data === null || Array.isArray(data)) {
      throw new RealmError("bundle", `${where} must be a JSON object; export the bundle again`);
    }
    this.data = data as Record<string, unknown>;
  }

  private fail(key: string): never {
    const state = key in this.data ? `${JSON.stringify(this.data[key])}, of the wrong kind` : "missing";
    throw new RealmError("bundle", `${this.where}: '${key}' is ${state}; export the bundle again`);
  }

  string(key: string): string {
    const value = this.data[key];
    return typeof value === "string" ? value : this.fail(key);
  }

  boolean(key: string): boolean {
    const value = this.data[key];
    return typeof value === "boolean" ? value : this.fail(key);
  }

  number(key: string): number {
    const value = this.data[key];
    if (typeof value !== "number") this.fail(key);
    if (Math.abs(value) <= MOST_NUMBER) return value;
    throw new RealmError(
      "bundle",
      `${this.where}: '${key}' is ${value}, no number within +- ${MOST_NUMBER}; export the bundle again`,
    );
  }

  /** A whole number from `least` to `most`. */
  whole(key: string, least = -Number.MAX_SAFE_INTEGER, most = Number.MAX_SAFE_INTEGER): number {
    const value = this.number(key);
    if (!Number.isInteger(value)) this.fail(key);
    const beyond = value > most ? `above ${most}` : value < least ? `below ${least}` : null;
    if (beyond === null) return value;
    throw new RealmError("bundle", `${this.where}: '${key}' is ${value}, ${beyond}; export the bundle again`);
  }

  /** A whole number from 1, and at most `most`. */
  positive(key: string, most?: number): number {
    return this.whole(key, 1, most);
  }

  positives(key: string): number[] {
    const values = this.array(key);
    const fits = (v: unknown) => typeof v === "number" && Number.isInteger(v) && v >= 1 && v <= MOST_WHOLE;
    if (values.length === 0 || values.length > MOST_SIZES || !values.every(fits)) {
      throw new RealmError(
        "bundle",
        `${this.where}: '${key}' must list 1 to ${MOST_SIZES} whole numbers from 1 to ${MOST_WHOLE}; export it again`,
      );
    }
    return values as number[];
  }

  array(key: string): unknown[] {
    const value = this.data[key];
    return Array.isArray(value) ? value : this.fail(key);
  }

  /** An object of a list. */
  item(key: string, index: number): Section {
    return new Section(this.array(key)[index], `${this.where}, '${key}'`);
  }

  choice<T extends string>(key: string, choices: readonly T[]): T {
    const value = this.string(key);
    if (!(choices as readonly string[]).includes(value)) {
      throw new RealmError(
        "bundle",
        `${this.where}: '${key}' is '${value}', must be one of ${choices.join(", ")}`,
      );
    }
    return value as T;
  }

  has(key: string): boolean {
    return Object.hasOwn(this.data, key);
  }

  section(key: string): Section {
    return new Section(this.data[key], `${this.where}, '${key}'`);
  }
}

/** What means more in an address than in the name of a file: schemes, queries, fragments, escapes, other separators. */
const UNPLAIN = /[\\:%?#\p{Cc}]|^ | $/u;

/**
 * Return `path` when it is a plain relative POSIX path that cannot leave its folder, on a disk or as a part of an
 * address: `https://other/x`, `//other/x`, `%2e%2e/x` and ` /x` are addresses elsewhere.
 */
export function safeRelative(path: unknown, where: string): string {
  if (typeof path === "string" && path !== "" && !path.startsWith("/") && !UNPLAIN.test(path)) {
    const parts = path.split("/").filter((part) => part !== "" && part !== ".");
    if (parts.length > 0 && !parts.includes("..")) return path;
  }
  throw new RealmError(
    "bundle",
    `${where}: the path '${shown(path)}' leaves the bundle; do not use a bundle that asks for it`,
  );
}

/** A value in a message: no control characters, no more than a line. */
function shown(value: unknown): string {
  return String(value)
    .slice(0, 200)
    .replace(/\p{Cc}/gu, (code) => `\\x${code.charCodeAt(0).toString(16).padStart(2, "0")}`);
}
