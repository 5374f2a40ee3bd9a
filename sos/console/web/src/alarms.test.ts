import { expect, test } from "vitest";
import { alarms, knows, louder, sound } from "./alarms";
import { ALARM_KINDS } from "./offered";
import type { Alarm, Disclosure, Incident } from "./protocol";
import { fresh } from "./state";

const AT = "2026-01-01T00:00:00Z";
const incident = (changes: Partial<Incident>): Incident => ({ ...fresh("i", "demo"), opened_at: AT, ...changes });

function raised(why: Alarm["why"], changes: Partial<Alarm> = {}): Alarm {
  const standing = { audience: "supervisors", supervisors: ["jiro"], operator: null, acknowledged_at: null } as const;
  return { alarm: `alarm-${why}`, why, about: "", raised_at: AT, ...standing, ...changes };
}

test("a supervisor has every alarm, another desk what went to everybody", () => {
  const one = incident({ alarms: [raised("undecided"), raised("no_voice", { audience: "everybody" })] });
  expect(alarms([one], true).map(({ why }) => why)).toEqual(["no_voice", "undecided"]);
  expect(alarms([one], false).map(({ why }) => why)).toEqual(["no_voice"]);
});

test("what has reached no desk yet stands at a supervisor's alone", () => {
  const one = incident({ alarms: [raised("undecided", { audience: null, supervisors: [] })] });
  expect(alarms([one], true)).toHaveLength(1);
  expect(alarms([one], false)).toEqual([]);
});

test("an alarm that somebody has acknowledged is over, also that of a closed incident stands until then", () => {
  const failed = incident({ state: "closed", alarms: [raised("recording"), raised("unclosed", { operator: "jiro" })] });
  expect(alarms([failed], true).map(({ why }) => why)).toEqual(["recording"]);
});

test("for whom nobody was found there is one row at every desk, and it asks for an answer", () => {
  const disclosure = { unattended: true, reached: null, rejected: null, superseded: false } as Disclosure;
  const since = { unattended_at: AT, sought: ["unanswered", "nobody"], alarms: [raised("unanswered"), raised("told_unattended")] };
  const why = (one: Incident): string[] => alarms([one], false).map((row) => row.why);
  expect(why(incident({ ...since, disclosures: [disclosure] }))).toEqual(["told"]);
  expect(why(incident({ ...since, flags: ["untold"] }))).toEqual(["untold"]);
  expect(why(incident({ ...since, disclosures: [{ ...disclosure, rejected: "no_unit_free" }] }))).toEqual(["nobody"]);
  expect(why(incident({ ...since, unattended_at: null }))).toEqual([]);
});

test("what somebody may be waiting behind comes first and sounds louder", () => {
  const rows = (...kinds: Alarm["why"][]) => alarms([incident({ alarms: kinds.map((why) => raised(why)) })], true);
  expect(rows("unclosed", "undecided", "no_voice").map(({ why }) => why)).toEqual(["no_voice", "undecided", "unclosed"]);
  expect(sound(rows("unclosed", "no_voice"))).toBe("high");
  expect(sound(rows("unclosed"))).toBe("medium");
  expect(sound([])).toBeNull();
  expect(louder("medium", "high")).toBe("high");
  expect(louder(null, "low")).toBe("low");
});

test.each(ALARM_KINDS)("%s sounds", (why) => {
  expect(sound(alarms([incident({ alarms: [raised(why)] })], true))).not.toBeNull();
});

test("nobody is said to know who had no desk", () => {
  expect(knows(raised("referral"))).toBe("supervisors");
  expect(knows(raised("referral", { audience: "everybody", supervisors: [] }))).toBe("no_supervisor");
  expect(knows(raised("referral", { audience: null, supervisors: [] }))).toBe("no_desk");
});
