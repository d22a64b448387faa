/**
 * Hugging Face `tokenizers` files in the browser: BERT's WordPiece and byte-level byte-pair encoding.
 *
 * Written here because the npm package of the same name gives other ids for rare characters and a final sigma
 * (README). Where a file asks for something unknown it is refused: other ids would give other numbers.
 */

import { buildNormalizer, isPunctuation, type Normalizer, pattern } from "./normalizers";
import { buildModel, type WordModel } from "./token-models";
import { asArray, asNumber, asObject, asString, type Json, unsupported } from "./tokenizer-json";

type Splitter = (text: string) => string[];

const GPT2 = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`;

/** GPT-2's letter for each of the 256 bytes, so that byte-pair encoding sees printable characters only. */
const BYTE_LETTERS: readonly string[] = (() => {
  const printable = (byte: number) =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : next++));
})();

function byteLevel(settings: Record<string, Json>): Splitter {
  const words = settings.use_regex === false ? null : pattern({ Regex: GPT2 });
  const encoder = new TextEncoder();
  return (text) => {
    const spaced = settings.add_prefix_space === true && !text.startsWith(" ") ? ` ${text}` : text;
    const parts = words === null ? [spaced] : (spaced.match(words) ?? []);
    return parts.map((part) => Array.from(encoder.encode(part), (byte) => BYTE_LETTERS[byte]).join(""));
  };
}

function bertWords(text: string): string[] {
  const words: string[] = [];
  for (const part of text.split(/\p{White_Space}+/u)) {
    let word = "";
    for (const char of part) {
      if (!isPunctuation(char)) {
        word += char;
        continue;
      }
      words.push(word, char);
      word = "";
    }
    words.push(word);
  }
  return words.filter((word) => word !== "");
}

function split(settings: Record<string, Json>): Splitter {
  const find = pattern(settings.pattern);
  const keepMatches = settings.behavior === "Isolated" || settings.invert === true;
  const keepGaps = settings.behavior === "Isolated" || settings.invert !== true;
  if (settings.behavior !== "Isolated" && settings.behavior !== "Removed") {
    unsupported(`the split behaviour ${String(settings.behavior)}`);
  }
  return (text) => {
    const parts: string[] = [];
    let end = 0;
    for (const match of text.matchAll(find)) {
      if (keepGaps) parts.push(text.slice(end, match.index));
      if (keepMatches) parts.push(match[0]);
      end = match.index + match[0].length;
    }
    if (keepGaps) parts.push(text.slice(end));
    return parts.filter((part) => part !== "");
  };
}

function buildSplitter(json: Json): Splitter {
  if (json === null || json === undefined) return (text) => [text];
  const settings = asObject(json);
  switch (settings.type) {
    case "Sequence": {
      const steps = asArray(settings.pretokenizers).map(buildSplitter);
      return (text) => steps.reduce((parts, step) => parts.flatMap(step), [text]);
    }
    case "BertPreTokenizer":
      return bertWords;
    case "Split":
      return split(settings);
    case "ByteLevel":
      return byteLevel(settings);
    default:
      return unsupported(`the pre-tokenizer ${String(settings.type)}`);
  }
}

interface Frame {
  readonly before: readonly number[];
  readonly after: readonly number[];
}

/** The special tokens around one text. */
function buildFrame(json: Json): Frame {
  if (json === null || json === undefined) return { before: [], after: [] };
  const settings = asObject(json);
  switch (settings.type) {
    case "TemplateProcessing": {
      const special = asObject(settings.special_tokens);
      const before: number[] = [];
      const after: number[] = [];
      let passed = false;
      for (const part of asArray(settings.single).map(asObject)) {
        if ("Sequence" in part) {
          passed = true;
          continue;
        }
        const token = asObject(special[asString(asObject(part.SpecialToken).id)]);
        (passed ? after : before).push(...asArray(token.ids).map(asNumber));
      }
      return { before, after };
    }
    case "BertProcessing":
    case "RobertaProcessing":
      return {
        before: [asNumber(asArray(settings.cls)[1])],
        after: [asNumber(asArray(settings.sep)[1])],
      };
    case "ByteLevel": // moves offsets, which nobody asks for here
      return { before: [], after: [] };
    default:
      return unsupported(`the post-processor ${String(settings.type)}`);
  }
}

interface AddedTokens {
  readonly find: RegExp;
  readonly ids: ReadonlyMap<string, number>;
}

/** Tokens that stand for themselves wherever they occur in a text; of several the longest counts. */
function buildAdded(tokens: readonly Record<string, Json>[], normalize: Normalizer): AddedTokens | null {
  if (tokens.length === 0) return null;
  const ids = new Map<string, number>();
  for (const token of tokens) {
    if (token.single_word === true || token.lstrip === true || token.rstrip === true) {
      unsupported(`the token ${String(token.content)} with single_word, lstrip or rstrip`);
    }
    ids.set(normalize(asString(token.content)), asNumber(token.id));
  }
  const longestFirst = [...ids.keys()].sort((a, b) => b.length - a.length);
  return {
    find: new RegExp(longestFirst.map((text) => pattern({ String: text }).source).join("|"), "gu"),
    ids,
  };
}

/** Alternate plain text and added tokens. */
function* parts(text: string, added: AddedTokens | null): Generator<string | number> {
  let end = 0;
  if (added !== null) {
    for (const match of text.matchAll(added.find)) {
      if (match.index > end) yield text.slice(end, match.index);
      yield added.ids.get(match[0])!;
      end = match.index + match[0].length;
    }
  }
  if (end < text.length) yield text.slice(end);
}

export class Tokenizer {
  private readonly normalize: Normalizer;
  private readonly words: Splitter;
  private readonly model: WordModel;
  private readonly frame: Frame;
  private readonly rawTokens: AddedTokens | null;
  private readonly normalTokens: AddedTokens | null;

  /** Throws Error, saying what, for a file that is damaged or asks for something unknown. */
  constructor(json: Json) {
    const settings = asObject(json);
    this.normalize = buildNormalizer(settings.normalizer);
    this.words = buildSplitter(settings.pre_tokenizer);
    this.model = buildModel(settings.model);
    this.frame = buildFrame(settings.post_processor);
    const added = asArray(settings.added_tokens ?? []).map(asObject);
    this.rawTokens = buildAdded(
      added.filter((token) => token.normalized !== true),
      (text) => text,
    );
    this.normalTokens = buildAdded(
      added.filter((token) => token.normalized === true),
      this.normalize,
    );
  }

  /** All ids of a text, special tokens included; nothing is cut or padded. */
  encode(text: string): number[] {
    const ids = [...this.frame.before];
    for (const raw of parts(text, this.rawTokens)) {
      if (typeof raw === "number") {
        ids.push(raw);
        continue;
      }
      for (const part of parts(this.normalize(raw), this.normalTokens)) {
        if (typeof part === "number") ids.push(part);
        else for (const word of this.words(part)) ids.push(...this.model(word));
      }
    }
    ids.push(...this.frame.after);
    return ids;
  }

  /** Whether a text ends with a special token, which a cut text keeps. */
  get closing(): number | null {
    return this.frame.after.at(-1) ?? null;
  }
}
