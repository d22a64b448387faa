/** The normalisers of Hugging Face `tokenizers` files: text -> cleaned text. */

import { asArray, asObject, asString, type Json, unsupported } from "./tokenizer-json";
import { MARKS, PUNCTUATION, REMOVED } from "./unicode-tables";

export type Normalizer = (text: string) => string;

function parseRanges(table: string): Uint32Array {
  const bounds = table.split(" ").flatMap((range) => {
    const [first, last = first] = range.split("-");
    return [Number.parseInt(first!, 16), Number.parseInt(last!, 16)];
  });
  return Uint32Array.from(bounds);
}

/** Whether a code point lies in one of the ranges (first, last, first, last, ...), which ascend. */
function within(ranges: Uint32Array, code: number): boolean {
  let low = 0;
  let high = ranges.length / 2;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ranges[2 * middle + 1]! < code) low = middle + 1;
    else high = middle;
  }
  return 2 * low < ranges.length && ranges[2 * low]! <= code;
}

const marks = parseRanges(MARKS);
const removed = parseRanges(REMOVED);
const punctuation = parseRanges(PUNCTUATION);

/** Whether BERT makes a word of its own of a character. */
export function isPunctuation(char: string): boolean {
  return within(punctuation, char.codePointAt(0)!);
}

// The blocks that the library lists, which are not all of Unicode's CJK: one starts at 2B920 instead of 2B820.
const CJK =
  /[\u4E00-\u9FFF\u3400-\u4DBF\u{20000}-\u{2A6DF}\u{2A700}-\u{2B73F}\u{2B740}-\u{2B81F}\u{2B920}-\u{2CEAF}\uF900-\uFAFF\u{2F800}-\u{2FA1F}]/gu;

/** Lower case, one character at a time: a final sigma becomes "σ" as anywhere else, as in the library. */
function lowercase(text: string): string {
  let lowered = "";
  for (const char of text) lowered += char.toLowerCase();
  return lowered;
}

function without(text: string, ranges: Uint32Array): string {
  let kept = "";
  for (const char of text) if (!within(ranges, char.codePointAt(0)!)) kept += char;
  return kept;
}

function bert(settings: Record<string, Json>): Normalizer {
  const lower = settings.lowercase === true;
  const strip = typeof settings.strip_accents === "boolean" ? settings.strip_accents : lower;
  return (given) => {
    let text = given;
    if (settings.clean_text === true) text = without(text, removed).replace(/\p{White_Space}/gu, " ");
    if (settings.handle_chinese_chars === true) text = text.replace(CJK, " $& ");
    if (strip) text = without(text.normalize("NFD"), marks);
    return lower ? lowercase(text) : text;
  };
}

/** A pattern of the file as JavaScript: `\s` is Unicode's white space there, and not quite that here. */
export function pattern(json: Json, flags = "gu"): RegExp {
  const { String: literal, Regex: regex } = asObject(json);
  const source =
    literal !== undefined
      ? asString(literal).replace(/[\\^$.*+?()[\]{}|/-]/g, (char) => `\\x${char.charCodeAt(0).toString(16)}`)
      : asString(regex).replace(/\\[\s\S]/g, (escaped) => {
          if (escaped === "\\s") return "\\p{White_Space}";
          return escaped === "\\S" ? "\\P{White_Space}" : escaped;
        });
  try {
    return new RegExp(source, flags);
  } catch {
    return unsupported(`the pattern ${source}`);
  }
}

/** Build the normaliser that a tokenizer file describes; throws for a kind that this page does not know. */
export function buildNormalizer(json: Json): Normalizer {
  if (json === null || json === undefined) return (text) => text;
  const settings = asObject(json);
  switch (settings.type) {
    case "Sequence": {
      const parts = asArray(settings.normalizers).map(buildNormalizer);
      return (text) => parts.reduce((current, part) => part(current), text);
    }
    case "BertNormalizer":
      return bert(settings);
    case "NFC":
    case "NFD":
    case "NFKC":
    case "NFKD": {
      const form = settings.type;
      return (text) => text.normalize(form);
    }
    case "Lowercase":
      return lowercase;
    case "StripAccents":
      return (text) => without(text, marks);
    case "Replace": {
      const find = pattern(settings.pattern);
      const content = asString(settings.content);
      return (text) => text.replace(find, () => content);
    }
    default:
      return unsupported(`the normalizer ${String(settings.type)}`);
  }
}
