/** Texts to features: tokens cut and padded as the manifest says, each different text embedded once. */

import type { TextSpec } from "./manifest";
import { type Feed, finite, type Session } from "./runtime";
import type { Tokenizer } from "./tokenizer";

const TEXTS_PER_CALL = 32;
const CACHED_TEXTS = 4096;

/** Whether a description counts as missing: nothing but white space. */
export function isMissing(text: string): boolean {
  return text.trim() === "";
}

export interface CutTokens {
  readonly ids: number[];
  /** How many tokens the text had, more than `ids` where it was cut. */
  readonly total: number;
}

/** Ids of one text, at most `maxTokens`: a longer one loses its end but keeps its final special token. */
export function cutTokens(tokenizer: Tokenizer, spec: TextSpec, text: string): CutTokens {
  const ids = tokenizer.encode(text);
  if (ids.length <= spec.maxTokens) return { ids, total: ids.length };
  const closing = tokenizer.closing === null ? [] : [tokenizer.closing];
  return { ids: [...ids.slice(0, spec.maxTokens - closing.length), ...closing], total: ids.length };
}

/** The length that so many ids are padded to. */
export function bucket(spec: TextSpec, length: number): number {
  if (spec.fixedLength) return spec.maxTokens;
  return spec.buckets.find((size) => size >= length) ?? spec.maxTokens;
}

export class TextEncoder {
  private readonly cache = new Map<string, Float32Array>();

  /**
   * `session` runs the text graph, which takes `inputs` and gives `output`, float32 (texts, D).
   * `cut(text, total)` is told of a text that is longer than the model reads.
   */
  constructor(
    private readonly tokenizer: Tokenizer,
    private readonly spec: TextSpec,
    private readonly session: Session,
    private readonly inputs: readonly string[],
    private readonly output: string,
    private readonly cut: (note: string) => void,
  ) {}

  /** Features of the texts, in order, each float32 (D). Throws RealmError "device". */
  async features(texts: readonly string[]): Promise<Float32Array[]> {
    const groups = new Map<number, Map<string, number[]>>();
    for (const text of new Set(texts)) {
      const { ids, total } = cutTokens(this.tokenizer, this.spec, text);
      if (total > ids.length) {
        // The words of the Python engine's log.
        const start = Array.from(text).slice(0, 40).join("");
        this.cut(`a text of ${total} tokens is cut to the first ${ids.length}: '${start}...'`);
      }
      if (this.cache.has(text)) continue;
      const size = bucket(this.spec, ids.length);
      const group = groups.get(size) ?? new Map<string, number[]>();
      groups.set(size, group.set(text, ids));
    }
    const found = new Map<string, Float32Array>();
    for (const text of texts) {
      const known = this.cache.get(text);
      if (known !== undefined) found.set(text, known);
    }
    for (const [size, group] of groups) {
      const entries = [...group];
      for (let start = 0; start < entries.length; start += TEXTS_PER_CALL) {
        const chunk = entries.slice(start, start + TEXTS_PER_CALL);
        const rows = await this.embed(
          chunk.map(([, ids]) => ids),
          size,
        );
        chunk.forEach(([text], index) => {
          found.set(text, rows[index]!);
        });
      }
    }
    for (const [text, row] of found) {
      this.cache.delete(text);
      this.cache.set(text, row);
    }
    while (this.cache.size > CACHED_TEXTS) this.cache.delete(this.cache.keys().next().value!);
    return texts.map((text) => found.get(text)!);
  }

  private async embed(idLists: number[][], length: number): Promise<Float32Array[]> {
    const ids = new BigInt64Array(idLists.length * length).fill(BigInt(this.spec.padId));
    const mask = new BigInt64Array(ids.length);
    idLists.forEach((list, row) => {
      list.forEach((id, column) => {
        ids[row * length + column] = BigInt(id);
        mask[row * length + column] = 1n;
      });
    });
    const dims = [idLists.length, length];
    const all: Record<string, Feed> = {
      input_ids: ["int64", ids, dims],
      attention_mask: ["int64", mask, dims],
    };
    const feeds = Object.fromEntries(this.inputs.map((name) => [name, all[name]!]));
    const { values } = await this.session.run(feeds, this.output);
    finite(values, this.output);
    const width = values.length / idLists.length;
    return idLists.map((_, row) => values.slice(row * width, (row + 1) * width));
  }
}
