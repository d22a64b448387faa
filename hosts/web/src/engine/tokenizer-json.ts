/** Reading the JSON of a tokenizer file, with errors for what is not there. */

export type Json = unknown;

export function unsupported(what: string): never {
  throw new Error(`${what} is not known to this page`);
}

export function asObject(json: Json): Record<string, Json> {
  if (typeof json !== "object" || json === null || Array.isArray(json))
    throw new Error("an object is missing");
  return json as Record<string, Json>;
}

export function asArray(json: Json): Json[] {
  if (!Array.isArray(json)) throw new Error("a list is missing");
  return json;
}

export function asString(json: Json): string {
  if (typeof json !== "string") throw new Error("a text is missing");
  return json;
}

export function asNumber(json: Json): number {
  if (typeof json !== "number") throw new Error("a number is missing");
  return json;
}
