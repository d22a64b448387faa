/** JSON of files that nobody vouches for: bounded in size, depth and members before it is parsed, as in the other hosts. */

import { messageOf, RealmError } from "./errors";
import { type JsonLimits, MOST_DEPTH } from "./limits";

/** As JSON.stringify writes one, behind no backslash that is itself written. */
const LONE_SURROGATE = /(?<!\\)(?:\\\\)*\\ud[89a-f]/;

/** Why a text must not be parsed ("nested deeper than 100"), null where it may be. */
function problemOf(text: string, mostMembers: number): string | null {
  let depth = 0;
  let members = 0;
  for (let at = 0; at < text.length; at++) {
    switch (text[at]) {
      case '"':
        for (at++; at < text.length && text[at] !== '"'; at++) if (text[at] === "\\") at++;
        break;
      case "{":
      case "[":
        if (++depth > MOST_DEPTH) return `nested deeper than ${MOST_DEPTH}`;
        break;
      case "}":
      case "]":
        depth--;
        break;
      case ":":
        if (++members > mostMembers) return `more than ${mostMembers} members`;
        break;
      default:
    }
  }
  return null;
}

/** The JSON in a file of a bundle, which should be `what`. Throws RealmError "bundle". */
export function parseJson(bytes: Uint8Array, limits: JsonLimits, where: string, what: string): unknown {
  if (bytes.length > limits.bytes) {
    const most = limits.bytes / 2 ** 20;
    throw new RealmError("bundle", `${where}: more than ${most} MiB of text; export the bundle again`);
  }
  let problem: string | null;
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    problem = problemOf(text, limits.members);
    if (problem === null) {
      const value: unknown = JSON.parse(text);
      if (!LONE_SURROGATE.test(JSON.stringify(value))) return value;
      problem = "half of a surrogate pair";
    }
  } catch (error) {
    problem = messageOf(error);
  }
  throw new RealmError("bundle", `${where}: not ${what} (${problem}); export the bundle again`);
}
