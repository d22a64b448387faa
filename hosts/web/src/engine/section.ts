/** Checked access to JSON that nobody vouches for: every fault is an error that names the field. */

import { RealmError } from "./errors";

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
    return typeof value === "number" && Number.isFinite(value) ? value : this.fail(key);
  }

  whole(key: string): number {
    const value = this.number(key);
    return Number.isInteger(value) ? value : this.fail(key);
  }

  /** A whole number from 1, and at most `most`. */
  positive(key: string, most = Number.MAX_SAFE_INTEGER): number {
    const value = this.whole(key);
    if (value > most) {
      throw new RealmError(
        "bundle",
        `${this.where}: '${key}' is ${value}, above ${most}; export the bundle again`,
      );
    }
    if (value < 1) {
      throw new RealmError("bundle", `${this.where}: '${key}' is ${value}, below 1; export the bundle again`);
    }
    return value;
  }

  positives(key: string): number[] {
    const values = this.array(key);
    if (values.length === 0 || values.some((v) => typeof v !== "number" || !Number.isInteger(v) || v < 1)) {
      throw new RealmError(
        "bundle",
        `${this.where}: '${key}' must list whole numbers from 1; export it again`,
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

/** Return `path` when it is a plain relative POSIX path that cannot leave its folder. */
export function safeRelative(path: unknown, where: string): string {
  if (typeof path === "string" && path !== "" && !/[\\\0]/.test(path) && !/^[A-Za-z]:/.test(path)) {
    const parts = path.split("/").filter((part) => part !== "" && part !== ".");
    if (!path.startsWith("/") && parts.length > 0 && !parts.includes("..")) return path;
  }
  throw new RealmError(
    "bundle",
    `${where}: the path '${String(path)}' leaves the bundle; do not use a bundle that asks for it`,
  );
}
