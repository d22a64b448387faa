/** Estimates of how long a map will take. */

import { expect, test } from "vitest";
import { Pace } from "../../src/ui/pace";
import type { TimedMap } from "../../src/worker/protocol";

const SIZE = { width: 200, height: 100 };
const each = (windows: number) => ({ encoder: "each-window", windows }) as const;
const pass = (windows: number) => ({ encoder: "one-pass", windows }) as const;

/** What of a map counts here. */
function took(seconds: number, pass = 0, pooling = 0): TimedMap {
  return { ...SIZE, seconds, spent: { pass, pooling } } as TimedMap;
}

test("windows one by one take what they took before", () => {
  const pace = new Pace();
  expect(pace.estimate([each(50)], SIZE)).toBeNull();
  pace.learn([each(80), each(20)], took(2));
  expect(pace.estimate([each(50)], SIZE)).toBe(1);
  pace.newPicture();
  expect(pace.estimate([each(50)], { width: 9, height: 9 })).toBe(1);
  pace.learn([each(1)], took(0.1)); // too short to tell
  expect(pace.estimate([each(50)], SIZE)).toBe(1);
  expect(pace.estimate([pass(50)], SIZE)).toBeNull();
});

test("a pass counts by the pixels, once for a picture; texts do not count", () => {
  const pace = new Pace();
  pace.learn([pass(90), pass(10)], took(30, 2, 1));
  expect(pace.estimate([pass(50)], SIZE)).toBe(0.5);
  pace.newPicture();
  expect(pace.estimate([pass(50)], SIZE)).toBe(2.5);
  expect(pace.estimate([pass(50)], { width: 400, height: 100 })).toBe(4.5);
});

test("a map of two encoders tells of both", () => {
  const pace = new Pace();
  pace.learn([each(100), pass(10)], took(5, 2, 1));
  expect(pace.estimate([each(50), pass(5)], SIZE)).toBe(1.5);
  pace.newPicture();
  expect(pace.estimate([each(50)], SIZE)).toBe(1);
  expect(pace.estimate([each(50), pass(5)], SIZE)).toBe(3.5);
});
