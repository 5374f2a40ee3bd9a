import { expect, test } from "vitest";
import { EMPTY, apply, timeline } from "./board";
import type { Degraded, EventFrame, FromServer } from "./protocol";
import { fresh } from "./state";

const AT = "2026-01-01T00:00:00Z";

function event(position: number, n: number, kind: string, data: Record<string, unknown> = {}, incident = "i"): FromServer {
  return { t: "event", position, incident, tenant: "demo", id: `e${position}`, n, kind, at: AT, actor: "x", data };
}

const OPENED = event(0, 1, "IncidentOpened", { mode: "live", trigger: "automatic", readable: true });
const OFFERED = event(1, 2, "DeskOffered", { desks: [], round: 1 });

test("events in order make the incident and move the position on", () => {
  const board = apply(EMPTY, [OPENED, OFFERED]);
  expect(board.incidents.get("i")?.state).toBe("ringing");
  expect(board).toMatchObject({ position: 1, total: 1 });
});

test("an event that comes twice counts once", () => {
  const once = apply(EMPTY, [OPENED, OFFERED]);
  expect(apply(once, [OPENED, OFFERED]).incidents).toEqual(once.incidents);
});

test("a gap asks for the history, and the history mends it", () => {
  const third = event(2, 3, "OperatorAssigned", { operator: "op1", desk: "d" });
  const gap = apply(apply(EMPTY, [OPENED]), [third]);
  expect([...gap.unknown]).toEqual(["i"]);
  const mended = apply(gap, [{ t: "history", events: [OPENED, OFFERED, third] as EventFrame[] }]);
  expect(mended.incidents.get("i")).toMatchObject({ version: 3, state: "in_call" });
  expect(mended.unknown.size).toBe(0);
  expect(mended.position).toBe(2);
});

test("what happens to an incident beyond the snapshot matters only when a person has to do with it", () => {
  const cut = apply(EMPTY, [{ t: "snapshot", position: 5, incidents: [], total: 900 }]);
  expect(apply(cut, [event(6, 9, "HelpEscalated", { rung: "ring_all" })]).unknown.size).toBe(0);
  expect(apply(cut, [event(6, 9, "IncidentReopened", { reason: "x" })]).unknown.size).toBe(1);
});

test("a snapshot says the position of the next event, which is not lost for that", () => {
  const ringing = { ...fresh("i", "demo"), version: 2, state: "ringing" as const };
  const board = apply(EMPTY, [
    { t: "snapshot", position: 2, incidents: [ringing], total: 1 },
    event(2, 3, "OperatorAssigned", { operator: "op1", desk: "d" }),
  ]);
  expect(board.incidents.get("i")?.state).toBe("in_call");
});

test("events that a snapshot holds already change nothing", () => {
  const snapshot: FromServer = {
    t: "snapshot",
    position: 0,
    incidents: [{ ...fresh("i", "demo"), version: 2, state: "ringing" }],
    total: 1,
  };
  const board = apply(EMPTY, [snapshot, OFFERED]);
  expect(board.incidents.get("i")?.version).toBe(2);
});

test("what cannot be opened is known by category, until it can", () => {
  const told = apply(EMPTY, [{ t: "parts", incident: "i", items: [], unreadable: { OBS: "lost" } }]);
  expect(told.unreadable.get("i")).toEqual({ OBS: "lost" });
  const found = apply(told, [{ t: "parts", incident: "i", items: [], unreadable: {} }]);
  expect(found.unreadable.get("i")).toEqual({});
});

test("the timeline is completed by what the parts tell of the time before", () => {
  const item = { event: "e", kind: "ReportFiled", n: 2, at: AT, actor: "x", parts: { LOC: {} } };
  const board = apply(EMPTY, [
    { t: "snapshot", position: 4, incidents: [{ ...fresh("i", "demo"), version: 4, opened_at: AT }], total: 1 },
    { t: "parts", incident: "i", items: [item], unreadable: {} },
    { t: "parts", incident: "i", items: [item], unreadable: {} },
    event(5, 5, "OperatorAssigned", { operator: "op1", desk: "d" }),
  ]);
  expect(timeline(board, "i").map(({ n, kind }) => `${n} ${kind}`)).toEqual([
    "1 IncidentOpened",
    "2 ReportFiled",
    "5 OperatorAssigned",
  ]);
});

const DEGRADED: Degraded = {
  t: "degraded",
  incident: "i",
  received_at: AT,
  trigger: "automatic",
  mode: "live",
  report: { location: { latitude: 35.6, longitude: 139.7 }, vehicle: {}, crash: {}, call_back: { tel: "+15550100" } },
};
const HELLO: FromServer = {
  t: "welcome",
  operator: { id: "o", name: "o", supervisor: false },
  desk: "d",
  active: true,
  now: AT,
  demo: false,
  boot: "b",
  agencies: {},
  languages: [],
  brands: {},
  cards: {},
  interpreters: [],
  colleagues: {},
  dials: false,
  voice: "webrtc",
  roads: [],
};

test("a report that came in while the database was away stands until its incident arrives, whichever comes first", () => {
  const away = apply(EMPTY, [DEGRADED]);
  expect([...away.degraded.keys()]).toEqual(["i"]);
  expect(away.total).toBe(0);
  expect(apply(away, [OPENED]).degraded.size).toBe(0);
  expect(apply(apply(EMPTY, [OPENED]), [DEGRADED]).degraded.size).toBe(0);
});

test("a report that only repeated another one goes when the service says so", () => {
  expect(apply(apply(EMPTY, [DEGRADED]), [{ t: "recorded", incident: "i" }]).degraded.size).toBe(0);
});

test("after a reconnection only what the service still tells is shown", () => {
  const away = apply(EMPTY, [DEGRADED, { ...DEGRADED, incident: "j" }]);
  expect([...apply(away, [HELLO, DEGRADED]).degraded.keys()]).toEqual(["i"]);
});
