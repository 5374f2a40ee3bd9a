import { expect, test } from "vitest";
import { BARS, alone, bars, consulting, keysOf, mayLeave, outside, queuedFor, shown, standing } from "./calls";
import type { Disclosure, Happened, Incident, Leg, Party } from "./protocol";
import { fresh } from "./state";

function leg(party: Party, changes: Partial<Leg> = {}): Leg {
  const known = { leg: `l-${party}`, party, who: party, up: true, ringing: false, held: false, called_in: false, held_for: null, muted: false };
  return { ...known, coaching: null, left: null, notices: [], briefs: [], ...changes };
}

const call = (...legs: Leg[]): Incident => ({ ...fresh("i", "demo"), state: "handed_over", legs });

test("a leg has one standing, and that it is gone comes first", () => {
  expect(standing(leg("vehicle"))).toBe("up");
  expect(standing(leg("vehicle", { held: true, muted: true }))).toBe("held");
  expect(standing(leg("vehicle", { muted: true }))).toBe("muted");
  expect(standing(leg("supervisor", { coaching: "l-operator" }))).toBe("coaching");
  expect(standing(leg("agency", { up: false, ringing: true }))).toBe("ringing");
  expect(standing(leg("agency", { up: false }))).toBe("invited");
  expect(standing(leg("agency", { up: false, held: true, left: "busy" }))).toBe("left");
});

test("of a party that called several times the living leg is shown, else the last one", () => {
  const gone = leg("vehicle", { leg: "a", up: false, left: "media_lost" });
  const later = leg("vehicle", { leg: "b", up: false, left: "busy" });
  expect(shown(call(leg("operator"), gone, later)).map((one) => one.leg)).toEqual(["b", "l-operator"]);
  expect(shown(call(gone, leg("vehicle"))).map((one) => one.leg)).toEqual(["l-vehicle"]);
});

test("a private talk holds everybody else, and never the operator or a listening supervisor", () => {
  const police = leg("agency", { leg: "p", who: "police" });
  const incident = call(leg("vehicle"), leg("operator"), leg("supervisor"), leg("agency"), police);
  expect(consulting(incident, "l-agency", "operator")).toEqual([
    { leg: "l-vehicle", held: true },
    { leg: "p", held: true },
  ]);
});

test("a private talk with another ends the first", () => {
  const incident = call(leg("vehicle", { held: true }), leg("operator"), leg("agency"));
  expect(consulting(incident, "l-vehicle", "operator")).toEqual([
    { leg: "l-vehicle", held: false },
    { leg: "l-agency", held: true },
  ]);
});

test("an operator leaves only when vehicle and agency have each other", () => {
  expect(mayLeave(call(leg("vehicle"), leg("operator"), leg("agency")))).toBe(true);
  expect(mayLeave({ ...call(leg("vehicle"), leg("agency")), state: "handing_over" })).toBe(false);
  expect(mayLeave(call(leg("vehicle"), leg("operator"), leg("agency", { up: false })))).toBe(false);
  expect(alone(call(leg("vehicle"), leg("operator")))).toBe(true);
  expect(alone(call(leg("operator")))).toBe(false);
});

test("keys are read per leg and in order", () => {
  const pressed = (on: string, keys: string): Happened => ({ n: 1, kind: "KeysPressed", at: "", actor: "", data: { leg: on, keys } });
  expect(keysOf([pressed("a", "1"), pressed("b", "2"), pressed("a", "12")], "a")).toBe("112");
});

test("only agencies that were told and are not in the call can be let in", () => {
  const told = (agency: string, changes: Partial<Disclosure> = {}): Disclosure =>
    ({ agency, rejected: null, superseded: false, ...changes }) as Disclosure;
  const incident = { ...call(leg("agency")), disclosures: [told("agency"), told("fire"), told("no", { rejected: "x" })] };
  expect(outside(incident)).toEqual(["fire"]);
});

test("a meter shows nothing for silence and all its bars for shouting", () => {
  expect([undefined, -127, -55, -54, -35, -15, 0].map(bars)).toEqual([0, 0, 0, 1, 3, BARS, BARS]);
});

test("a leg that waits for a free line says how long, until it rings, is up or is gone", () => {
  const at = { n: 1, at: "2026-01-01T00:00:00Z", actor: "provider:twilio", kind: "LegQueued" };
  const events: Happened[] = [2000, 2500].map((queued_ms) => ({ ...at, data: { leg: "l-agency", queued_ms } }));
  const waits = leg("agency", { up: false });

  expect(queuedFor(events, waits)).toBe(3);
  expect(queuedFor(events, leg("operator", { up: false }))).toBeNull();
  for (const over of [{ ringing: true }, { up: true }, { left: "failed" }]) {
    expect(queuedFor(events, { ...waits, ...over })).toBeNull();
  }
});
