import { expect, test } from "vitest";
import type { Agency, Degraded, Disclosure, Incident, PartsItem } from "./protocol";
import {
  assumed,
  barred,
  byUrgency,
  choices,
  frozen,
  known,
  likelyConsent,
  likelyDisposition,
  likelyNecessity,
  responseLeft,
  ring,
  sections,
  unclosable,
  unrecorded,
} from "./rules";
import { fresh } from "./state";

const incident = (changes: Partial<Incident> = {}): Incident => ({
  ...fresh(changes.id ?? "i", "demo"),
  version: 3,
  state: "ringing",
  opened_at: "2026-01-01T00:00:00Z",
  ...changes,
});
const disclosure = (changes: Partial<Disclosure> = {}): Disclosure => ({
  disclosure: "d",
  agency: "fire",
  service: "fire",
  brief_version: 1,
  superseded: false,
  reached: null,
  rejected: null,
  attempts: 0,
  rung: null,
  line: null,
  by_hand: false,
  alarms: 0,
  proposed: [],
  calls: [],
  asked: null,
  unattended: false,
  elsewhere: false,
  joined: [],
  otherwise: false,
  categories: [],
  unheard: false,
  read_back: null,
  status: null,
  ...changes,
});
const agency = (service: Agency["service"], exercise_partner = false): Agency => ({
  name_ja: service,
  name_en: service,
  service,
  exercise_partner,
  default: false,
  lines: {},
  speaks: false,
});

test("an automatic crash comes before a manual call, and the older before the newer", () => {
  const list = [
    incident({ id: "manual", trigger: "manual", opened_at: "2026-01-01T00:00:00Z" }),
    incident({ id: "new", trigger: "automatic", opened_at: "2026-01-01T00:00:09Z" }),
    incident({ id: "old", trigger: "automatic", opened_at: "2026-01-01T00:00:05Z" }),
    incident({ id: "drill", trigger: "automatic", mode: "drill" }),
  ];
  expect(list.sort(byUrgency).map(({ id }) => id)).toEqual(["old", "new", "manual", "drill"]);
});

test("whoever is in danger goes before a bump that came three minutes earlier at most, and stays in the class", () => {
  const list = [
    incident({ id: "bump", trigger: "automatic", opened_at: "2026-01-01T00:05:00Z" }),
    incident({ id: "pressed", trigger: "manual", opened_at: "2026-01-01T00:00:00Z", urgent: ["fire"] }),
    incident({ id: "fire", trigger: "automatic", opened_at: "2026-01-01T00:06:00Z", urgent: ["fire", "hard_impact"] }),
    incident({ id: "long", trigger: "automatic", opened_at: "2026-01-01T00:02:59Z" }),
    incident({ id: "fuel", trigger: "automatic", opened_at: "2026-01-01T00:06:01Z", urgent: ["fuelLeak"] }),
  ];

  expect(list.sort(byUrgency).map(({ id }) => id)).toEqual(["long", "fire", "bump", "fuel", "pressed"]);
});

test("an incident whose operator was lost after agencies were told waits for a person again", () => {
  const found = sections([incident({ state: "handing_over", operator: null })], "op1");
  expect(found.waiting).toHaveLength(1);
});

test("rows keep their places while the pointer moves, newcomers come last", () => {
  const [a, b, c] = ["a", "b", "c"].map((id) => incident({ id }));
  expect(frozen(["b", "a"], [c!, a!, b!]).map(({ id }) => id)).toEqual(["b", "a", "c"]);
});

test("the loudest thing that rings at this desk gives the tone", () => {
  expect(ring([incident({ trigger: "manual" }), incident({ trigger: "automatic" })], "d1")).toBe("high");
  expect(ring([incident({ trigger: "manual", desks: ["d2"] })], "d1")).toBeNull();
  expect(ring([incident({ trigger: "manual", desks: ["d1"] })], "d1")).toBe("medium");
  expect(ring([incident({ mode: "test" })], "d1")).toBe("low");
});

test("a report that came in while the database is away rings at every desk", () => {
  const report = { location: {}, vehicle: {}, crash: {}, call_back: {} };
  const told: Degraded = { t: "degraded", incident: "i", received_at: "2026-01-01T00:00:00Z", trigger: "automatic", mode: "live", report };
  expect(ring(unrecorded([told]), "d1")).toBe("high");
  expect(ring(unrecorded([{ ...told, mode: "test" }]), "d1")).toBe("low");
});

test("suggested agencies stand first, those outside the plan last", () => {
  const agencies = { p: agency("police"), f1: agency("fire"), f2: agency("fire"), x: agency("ambulance") };
  const order = choices(incident({ agencies: ["f1", "f2", "p"] }), agencies);
  expect(order.map(({ agency, suggested }) => `${agency}${suggested ? "*" : ""}`)).toEqual(["f1*", "p*", "f2", "x"]);
});

test.each([
  [incident(), false, "barred.not_answered"],
  [incident({ state: "in_call", mode: "test" }), true, "barred.test"],
  [incident({ state: "in_call", mode: "drill" }), false, "barred.no_partner"],
  [incident({ state: "handing_over", disclosures: [disclosure()] }), false, "barred.pending"],
  [incident({ state: "handing_over", disclosures: [disclosure({ rejected: "wrong_area" })] }), false, null],
])("telling an agency is barred when the service would refuse it (%#)", (one, partner, reason) => {
  expect(barred(one, "fire", partner)).toBe(reason);
});

test.each([
  [incident({ state: "in_call", operator: "o" }), "handed_over", "barred.nobody_took_over"],
  [incident({ state: "handing_over", operator: "o", disclosures: [disclosure()] }), "false_alarm", "barred.agency_pending"],
  [incident({ state: "in_call", operator: "o", mode: "test" }), "false_alarm", "barred.test_only"],
  [incident({ state: "in_call", operator: "o" }), "test", "barred.test_only"],
  [incident({ state: "in_call", operator: "o" }), "drill", "barred.drill_only"],
  [incident({ state: "in_call", operator: "o", mode: "drill" }), "drill", null],
  [incident({ state: "in_call", operator: "o", mode: "drill" }), "false_alarm", null],
  [incident({ state: "in_call", operator: "o" }), "false_alarm", null],
  [incident(), "false_alarm", "barred.not_answered"],
  [incident({ state: "closed", disclosures: [disclosure()] }), "false_alarm", null],
] as const)("closing is barred when the service would refuse it (%#)", (one, disposition, reason) => {
  expect(unclosable(one, disposition)).toBe(reason);
});

test("what is likely is chosen beforehand, and nothing where nothing is likely", () => {
  const talking = incident({
    state: "in_call",
    trigger: "automatic",
    legs: [
      {
        leg: "v",
        party: "vehicle",
        who: "vehicle",
        up: true,
        ringing: false,
        held: false,
        called_in: false,
        held_for: null,
        muted: false,
        coaching: null,
        left: null,
        notices: [],
        briefs: [],
      },
    ],
  });
  expect(likelyNecessity(talking, null, {})).toBe("automatic_crash");
  expect(likelyNecessity(incident({ trigger: "manual" }), null, {})).toBe("call_for_help");
  expect(likelyConsent(talking, {})).toBe("delay");
  expect(likelyConsent(talking, { conscious: { question: "conscious", ja: "意識", en: "Conscious", value: "no", saidJa: "いいえ", saidEn: "no" } })).toBe("unconscious");
  expect(likelyConsent(incident(), {})).toBe("no_answer");
  expect(likelyDisposition(talking)).toBe("");
  expect(likelyDisposition(incident({ mode: "test" }))).toBe("test");
});

test("the place is that of the newest plan, whole, and what a later report adds waits for the next one", () => {
  const of = (latitude: number, prefectureName: string) => ({ source: "vehicle", latitude, longitude: 1, prefectureName });
  const items = [
    { event: "1", kind: "ReportFiled", n: 2, at: "", actor: "x", parts: { LOC: { latitude: 1, longitude: 1 } } },
    { event: "2", kind: "PlanMade", n: 3, at: "", actor: "x", parts: { LOC: of(1, "東京都") } },
    { event: "3", kind: "ReportFiled", n: 4, at: "", actor: "x", parts: { LOC: { latitude: 2, longitude: 1 } } },
    { event: "4", kind: "NoteAdded", n: 5, at: "", actor: "x", parts: { OBS: { text: "heard" } } },
    { event: "6", kind: "PlaceDescribed", n: 5, at: "", actor: "x", parts: { LOC: { address: "架空一丁目", addressDistanceM: 14 } } },
    { event: "5", kind: "DisclosureDecided", n: 6, at: "", actor: "x", parts: { LOC: { latitude: 9 } } },
  ];
  expect(known(items)).toMatchObject({
    location: { latitude: 1 },
    place: { latitude: 1, prefectureName: "東京都" },
    before: null,
    named: { address: "架空一丁目" },
    notes: [{ category: "OBS", text: "heard" }],
  });
  const moved = { event: "7", kind: "PlanMade", n: 7, at: "", actor: "x", parts: { LOC: of(2, "神奈川県") } };
  const said = { event: "8", kind: "PlaceStated", n: 8, at: "", actor: "x", parts: { LOC: { stated: "三つ目の橋" } } };
  expect(known([...items, moved, said])).toMatchObject({
    location: { latitude: 2 },
    place: { prefectureName: "神奈川県" },
    before: { latitude: 1, prefectureName: "東京都" },
    named: null,
    stated: "三つ目の橋",
  });
});

test("the newest judgement of severity and the contract's holder are known, and neither is mixed with the report", () => {
  const item = (n: number, kind: string, parts: Record<string, unknown>): PartsItem => ({
    event: `e${n}`,
    kind,
    n,
    actor: "x",
    at: "2026-01-01T00:00:00.000Z",
    parts,
  });
  const judged = (level: string): Record<string, unknown> => ({
    SEV: { prediction: { level, reasons: [], chosen: "wang-2022-all", score: null } },
  });
  const items = [
    item(2, "ReportFiled", { SEV: { impact: "front" } }),
    item(3, "VehicleRecognised", { OWN: { ownerName: "架空 太郎" } }),
    item(4, "SeverityJudged", judged("unknown")),
    item(9, "SeverityJudged", judged("severe")),
  ];

  expect(known(items)).toMatchObject({ crash: { impact: "front" }, owner: { ownerName: "架空 太郎" } });
  expect(known(items).prediction?.level).toBe("severe");
  expect(known(items.slice(0, 2)).prediction).toBeNull();
});

test("the no-response clock counts down, stands while nobody is spoken to, and its end shows until somebody answers", () => {
  const clock = { limit_ms: 30_000, began_at: "2026-01-01T00:00:10Z", heard: false, assumed_at: null };
  const now = Date.parse("2026-01-01T00:00:15Z");

  expect(responseLeft(incident({ response: clock }), now)).toBe(25);
  expect(responseLeft(incident({ response: clock }), now + 60_000)).toBe(0);
  expect(responseLeft(incident({ response: { ...clock, began_at: null } }), now)).toBeNull();
  expect(responseLeft(incident({ response: null }), now)).toBeNull();

  const over = incident({ response: { ...clock, assumed_at: "2026-01-01T00:00:40Z" } });
  expect(assumed(over)).toBe(true);
  expect(assumed({ ...over, response: { ...over.response!, heard: true } })).toBe(false);
});

test("who does not answer after a crash is told of as silent", () => {
  const response = { limit_ms: 30_000, began_at: null, heard: false, assumed_at: "2026-01-01T00:00:40Z" };
  const silent = incident({ trigger: "automatic", response, passed: ["no_response", "no_response_alarm"] });

  expect(likelyNecessity(silent, null, {})).toBe("silence_after_crash");
});

test("what somebody wrote for whoever works on it is a note: a colleague's word, an agency's question, a cry for help", () => {
  const kinds = ["NoteAdded", "HandoverOffered", "AgencyAsked", "AlarmRaised"];
  const items = kinds.map((kind, n) => ({ event: `e${n}`, kind, n, at: "2026-01-01T09:00:00.000Z", actor: "", parts: { OBS: { text: kind } } }));
  expect(known(items).notes.map((note) => note.text)).toEqual(kinds);
});
