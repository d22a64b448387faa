/** The models of Hugging Face `tokenizers` files: a word -> ids. */

import { asArray, asNumber, asObject, asString, type Json, unsupported } from "./tokenizer-json";

export type WordModel = (word: string) => number[];

function vocabulary(json: Json): Map<string, number> {
  return new Map(Object.entries(asObject(json)).map(([token, id]) => [token, asNumber(id)]));
}

/** Longest piece first; a word with a part that no piece spells is one unknown token. */
function wordPiece(settings: Record<string, Json>): WordModel {
  const vocab = vocabulary(settings.vocab);
  const unknown = vocab.get(asString(settings.unk_token));
  if (unknown === undefined) throw new Error("the unknown token is not in the vocabulary");
  const prefix = asString(settings.continuing_subword_prefix);
  const limit = asNumber(settings.max_input_chars_per_word);
  return (word) => {
    const chars = Array.from(word);
    if (chars.length > limit) return [unknown];
    const ids: number[] = [];
    for (let start = 0; start < chars.length; ) {
      let end = chars.length;
      let id: number | undefined;
      for (; end > start && id === undefined; end--) {
        const piece = chars.slice(start, end).join("");
        id = vocab.get(start > 0 ? prefix + piece : piece);
      }
      if (id === undefined) return [unknown];
      ids.push(id);
      start = end + 1;
    }
    return ids;
  };
}

const CACHED_WORDS = 10_000;

/** Byte-pair encoding: the pair of neighbours that was merged first in training is merged first. */
function bytePair(settings: Record<string, Json>): WordModel {
  const vocab = vocabulary(settings.vocab);
  const prefix =
    typeof settings.continuing_subword_prefix === "string" ? settings.continuing_subword_prefix : "";
  const suffix = typeof settings.end_of_word_suffix === "string" ? settings.end_of_word_suffix : "";
  const unknown = typeof settings.unk_token === "string" ? vocab.get(settings.unk_token) : undefined;
  if (settings.byte_fallback === true || settings.fuse_unk === true) unsupported("byte_fallback or fuse_unk");
  const ranks = new Map<string, number>();
  asArray(settings.merges).forEach((merge, rank) => {
    const pair = typeof merge === "string" ? merge.split(" ") : asArray(merge).map(asString);
    ranks.set(`${pair[0]} ${pair[1]}`, rank);
  });
  const cache = new Map<string, number[]>();

  function merged(word: string): string[] {
    const chars = Array.from(word);
    const symbols = chars.map(
      (char, i) => (i > 0 ? prefix : "") + char + (i === chars.length - 1 ? suffix : ""),
    );
    for (;;) {
      let best = Number.POSITIVE_INFINITY;
      let at = -1;
      for (let i = 0; i + 1 < symbols.length; i++) {
        const rank = ranks.get(`${symbols[i]} ${symbols[i + 1]}`);
        if (rank !== undefined && rank < best) {
          best = rank;
          at = i;
        }
      }
      if (at < 0) return symbols;
      symbols.splice(at, 2, symbols[at]! + symbols[at + 1]!.slice(prefix.length));
    }
  }

  return (word) => {
    const known = cache.get(word);
    if (known !== undefined) return known;
    const whole = settings.ignore_merges === true ? vocab.get(word) : undefined;
    const ids =
      whole !== undefined
        ? [whole]
        : merged(word).flatMap((symbol) => {
            const id = vocab.get(symbol) ?? unknown;
            return id === undefined ? [] : [id];
          });
    if (cache.size < CACHED_WORDS) cache.set(word, ids);
    return ids;
  };
}

export function buildModel(json: Json): WordModel {
  const settings = asObject(json);
  if (settings.type === "WordPiece") return wordPiece(settings);
  if (settings.type === "BPE") return bytePair(settings);
  return unsupported(`the model ${String(settings.type)}`);
}
