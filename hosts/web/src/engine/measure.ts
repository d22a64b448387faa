/** Measures of a picture: which graphs they share, and the values of their columns. */

import { RealmError } from "./errors";
import type { Looker, Picture } from "./looker";
import type { ColumnSpec, MeasureSpec } from "./measure-specs";
import type { Answer, Session } from "./runtime";

export interface Measured {
  readonly name: string;
  /** One per column of the measure; null where the model's answer is not a number, which `error` then says. */
  readonly values: readonly (number | null)[];
  readonly error: string | null;
}

export interface Head {
  readonly session: Session;
  readonly input: string;
}

/** What measures of one bundle are computed with. */
export interface Parts {
  /** By `lookKey`. */
  readonly lookers: ReadonlyMap<string, Looker>;
  /** By the name of the graph. */
  readonly heads: ReadonlyMap<string, Head>;
  /** Features of a text for CORE. */
  features(text: string): Promise<Float32Array>;
  /** Awaited between graphs; throws to give up. */
  pause(): Promise<void>;
}

/** Measures with one key look through one graph in one way, and share its run. */
export function lookKey({ graph, view }: MeasureSpec): string {
  return JSON.stringify([graph, view]);
}

const outputsOf = (spec: MeasureSpec) => [...new Set(spec.columns.map((column) => column.output))];

/** The measures of a picture, in their order; a blank text means that there is no description. */
export async function measure(
  parts: Parts,
  specs: readonly MeasureSpec[],
  picture: Picture,
  text: string | null,
): Promise<Measured[]> {
  const answers = new Map<string, Map<string, Answer>>();
  const found: Measured[] = [];
  for (const spec of specs) {
    const key = lookKey(spec);
    if (!answers.has(key)) {
      await parts.pause();
      const sharing = specs.filter((other) => lookKey(other) === key);
      const outputs = [
        ...new Set(sharing.flatMap((each) => (each.head ? [each.features!] : outputsOf(each)))),
      ];
      const reads = text !== null && sharing.some(({ kind }) => kind === "core");
      const features = reads ? await parts.features(text) : null;
      const given = await parts.lookers.get(key)!.look(picture, features, outputs);
      answers.set(key, new Map(outputs.map((output, index) => [output, given[index]!])));
    }
    const looked = answers.get(key)!;
    const own = spec.head === null ? looked : await runHead(parts.heads.get(spec.head)!, spec, looked);
    const values = spec.columns.map((column) => columnValue(column, own.get(column.output)!, spec));
    const error = values.includes(null) ? `measure ${spec.name}: the model's answer is not a number` : null;
    found.push({ name: spec.name, values, error });
  }
  return found;
}

async function runHead(
  { session, input }: Head,
  spec: MeasureSpec,
  looked: ReadonlyMap<string, Answer>,
): Promise<Map<string, Answer>> {
  const { values, dims } = looked.get(spec.features!)!;
  if (dims.length !== 2 || dims[0] !== 1) throw wrongShape(spec, spec.features!, dims);
  const outputs = outputsOf(spec);
  const answers = await session.runAll({ [input]: ["float32", values, dims] }, outputs);
  return new Map(outputs.map((output, index) => [output, answers[index]!]));
}

function columnValue(column: ColumnSpec, { values, dims }: Answer, spec: MeasureSpec): number | null {
  const single = dims.every((size) => size === 1) && (dims.length === 1 || dims.length === 2);
  if (!single) throw wrongShape(spec, column.output, dims);
  const value = values[0]!;
  if (!Number.isFinite(value)) return null;
  if (column.line === null) return value;
  return Math.min(column.high, Math.max(column.low, column.line.offset + column.line.slope * value));
}

function wrongShape(spec: MeasureSpec, output: string, dims: readonly number[]): RealmError {
  return new RealmError(
    "bundle",
    `measure ${spec.name}: its output '${output}' is of shape (${dims.join(", ")}); export the bundle again`,
  );
}
