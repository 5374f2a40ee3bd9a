/**
 * The incident as the events so far make it: the same table and the same effects as `sos/incident/lifecycle.py`,
 * held to it by the journeys in `tests/journeys`.  Pure: values in, values out.
 *
 * It differs from the server in one point only.  The server refuses an event that cannot follow; here everything was
 * accepted already, so an unknown event raises the version and changes nothing else.
 */

import {
  ACKNOWLEDGEMENTS,
  type Acknowledgement,
  type Disclosure,
  type Disposition,
  type Happened,
  type Incident,
  type Mode,
  type Party,
  type Recording,
  type Service,
  type State,
  type Trigger,
} from "./protocol";

/** State before -> event -> state after; `none` is the incident that is not open yet. */
export const TRANSITIONS: Readonly<Record<State | "none", Readonly<Record<string, State>>>> = {
  none: { IncidentOpened: "received" },
  received: { DeskOffered: "ringing", OperatorAssigned: "in_call" },
  ringing: { DeskOffered: "ringing", OperatorAssigned: "in_call" },
  in_call: { OperatorLost: "ringing", DisclosureDecided: "handing_over", IncidentClosed: "closed" },
  handing_over: {
    OperatorLost: "handing_over",
    OperatorAssigned: "handing_over",
    DisclosureDecided: "handing_over",
    HandoffCompleted: "handed_over",
    IncidentClosed: "closed",
  },
  handed_over: {
    OperatorLost: "handed_over",
    OperatorAssigned: "handed_over",
    DisclosureDecided: "handing_over",
    IncidentClosed: "closed",
  },
  closed: { IncidentReopened: "reopened" },
  reopened: { DeskOffered: "ringing", OperatorAssigned: "in_call" },
};

export function fresh(id: string, tenant: string): Incident {
  return {
    id,
    tenant,
    version: 0,
    state: "received",
    mode: "live",
    trigger: "unknown",
    opened_at: null,
    changed_at: null,
    offers: 0,
    desks: [],
    operator: null,
    planned: false,
    located: null,
    prefecture: null,
    agencies: [],
    disclosures: [],
    legs: [],
    recordings: [],
    flags: [],
    passed: [],
    disposition: null,
    read_by: [],
  };
}

/** `incident` after `event`. */
export function evolve(incident: Incident, event: Happened): Incident {
  const before = incident.version === 0 ? "none" : incident.state;
  const after = TRANSITIONS[before][event.kind];
  const changes: Partial<Incident> = EFFECTS[event.kind]?.(incident, event.data) ?? {};
  const moved: Partial<Incident> =
    after !== undefined && after !== before ? { state: after, changed_at: event.at, passed: [] } : {};
  const opened: Partial<Incident> = before === "none" ? { opened_at: event.at } : {};
  return { ...incident, version: incident.version + 1, ...changes, ...moved, ...opened };
}

type Data = Happened["data"];
type Effect = (incident: Incident, data: Data) => Partial<Incident>;

const text = (data: Data, name: string): string => data[name] as string;
const texts = (data: Data, name: string): readonly string[] => (data[name] as readonly string[] | undefined) ?? [];

const EFFECTS: Readonly<Record<string, Effect>> = {
  IncidentOpened: (_, data) => ({
    mode: data["mode"] as Mode,
    trigger: data["trigger"] as Trigger,
    flags: data["readable"] === false ? ["unreadable_report"] : [],
  }),
  ReportFiled: (_, data) => ({ located: data["located"] as boolean }),
  PlanMade: (incident, data) => ({
    planned: true,
    prefecture: (data["prefecture"] as string | null | undefined) ?? null,
    agencies: texts(data, "agencies"),
    flags: [...new Set([...incident.flags, ...texts(data, "flags")])],
  }),
  DeskOffered: (_, data) => ({ offers: data["round"] as number, desks: texts(data, "desks") }),
  OperatorAssigned: (_, data) => ({ operator: text(data, "operator"), desks: [text(data, "desk")], offers: 0 }),
  OperatorLost: () => ({ operator: null, desks: [], offers: 0 }),
  LegInvited: (incident, data) => legKnown(incident, data, false),
  LegJoined: (incident, data) => legKnown(incident, data, true),
  LegLeft: (incident, data) => ({
    legs: incident.legs.map((known) => (known.leg === data["leg"] ? { ...known, up: false } : known)),
  }),
  RecordingStarted: (incident, data) => recorded(incident, data, { sealed: false, failed: false }),
  RecordingSealed: (incident, data) => recorded(incident, data, { sealed: true, failed: false }),
  RecordingFailed: (incident, data) => recorded(incident, data, { sealed: false, failed: true }),
  DisclosureDecided: (incident, data) => ({
    disclosures: [
      ...incident.disclosures,
      {
        disclosure: text(data, "disclosure"),
        agency: text(data, "agency"),
        service: data["service"] as Service,
        reached: null,
        rejected: null,
        attempts: 0,
        status: null,
      },
    ],
  }),
  DeliveryStarted: (incident, data) => disclosed(incident, data, { attempts: data["attempt"] as number }),
  DeliveryConfirmed: reached,
  AgencyAcknowledged: reached,
  AgencyRejected: (incident, data) => disclosed(incident, data, { rejected: text(data, "reason") }),
  AgencyReported: (incident, data) => disclosed(incident, data, { status: data["status"] as Disclosure["status"] }),
  PartsRead: (incident, data) => ({
    read_by: [...incident.read_by, [text(data, "reader"), texts(data, "categories")]],
  }),
  HelpEscalated: (incident, data) => ({ passed: [...incident.passed, text(data, "rung")] }),
  IncidentClosed: (_, data) => ({ disposition: data["disposition"] as Disposition, read_by: [], desks: [] }),
  IncidentReopened: () => ({ disposition: null, operator: null, offers: 0, desks: [] }),
};

/** What an event changes besides the state.  Kinds that are not here change nothing else. */
export const KINDS_WITH_EFFECT = Object.keys(EFFECTS);

function legKnown(incident: Incident, data: Data, up: boolean): Partial<Incident> {
  const leg = text(data, "leg");
  const others = incident.legs.filter((known) => known.leg !== leg);
  return { legs: [...others, { leg, party: data["party"] as Party, who: text(data, "who"), up }] };
}

function recorded(incident: Incident, data: Data, how: Omit<Recording, "recording">): Partial<Incident> {
  const recording = text(data, "recording");
  const others = incident.recordings.filter((known) => known.recording !== recording);
  return { recordings: [...others, { recording, ...how }] };
}

function disclosed(incident: Incident, data: Data, changes: Partial<Disclosure>): Partial<Incident> {
  return {
    disclosures: incident.disclosures.map((known) =>
      known.disclosure === data["disclosure"] ? { ...known, ...changes } : known,
    ),
  };
}

export function rank(level: Acknowledgement | null): number {
  return level === null ? -1 : ACKNOWLEDGEMENTS.indexOf(level);
}

function reached(incident: Incident, data: Data): Partial<Incident> {
  const level = data["level"] as Acknowledgement;
  const known = incident.disclosures.find((one) => one.disclosure === data["disclosure"]);
  if (known !== undefined && rank(known.reached) >= rank(level)) return {};
  return disclosed(incident, data, { reached: level });
}

export const pending = (disclosure: Disclosure): boolean =>
  disclosure.reached !== "taken_over" && disclosure.rejected === null;

export const waiting = (incident: Incident): boolean =>
  incident.state === "received" || incident.state === "ringing" || incident.state === "reopened";

/** Whether an operator must take it up: it waits, or its operator was lost after agencies were told. */
export const answerable = (incident: Incident): boolean =>
  waiting(incident) ||
  (incident.operator === null && (incident.state === "handing_over" || incident.state === "handed_over"));

/** Whether the operator who has it talks with the vehicle now. */
export const talking = (incident: Incident): boolean =>
  incident.state === "in_call" || incident.state === "handing_over" || incident.state === "handed_over";
