import { expect, test } from "vitest";
import { agencyAnswered, columns, party, position, seconds, type Mark } from "./recordings";

const MARKS: readonly Mark[] = [
  { at_ms: 800, what: "answered", who: "hanako" },
  { at_ms: 12_000, what: "told", who: "jp-13-fire" },
  { at_ms: 47_500, what: "agency_joined", who: "jp-13-fire" },
  { at_ms: 51_000, what: "agency_taken_over", who: "jp-13-fire" },
];

test("the agency's answer is the first sign of a person there, and is heard from a little before", () => {
  const answered = agencyAnswered(MARKS);
  expect(answered?.at_ms).toBe(47_500);
  expect(seconds(answered!)).toBe(45.5);
  expect(seconds(MARKS[0]!)).toBe(0);
  expect(agencyAnswered(MARKS.slice(0, 2))).toBeUndefined();
});

test("a position reads as on a player", () => {
  expect([0, 59_999, 65_000, 3_729_000].map(position)).toEqual(["0:00", "0:59", "1:05", "1:02:09"]);
});

test("a track is its party's, by the leg where its name says nothing", () => {
  const legs = [{ leg: "leg-1", party: "operator" }, { leg: "CA77", party: "agency" }] as never;
  expect(["vehicle", "operator-leg-1", "CA77"].map((track) => party(track, { legs }))).toEqual([
    "vehicle",
    "operator",
    "agency",
  ]);
});

test("a picture shows the loudest of each stretch, and silence where nothing has come yet", () => {
  expect(columns([-60, -20, -50, -70], 8, 4)).toEqual([-20, -50, -127, -127]);
});
