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
  type Alarm,
  type AnswerAction,
  type Category,
  type ConsentGiven,
  type Disclosure,
  type Disposition,
  type EmergencyKind,
  type Happened,
  type Heard,
  type Hold,
  type Incident,
  type KindSource,
  type Leg,
  type Linked,
  type Match,
  type Mode,
  type Party,
  type Recording,
  type Service,
  type State,
  type ToldElsewhere,
  type Trigger,
} from "./protocol";

/** State before -> event -> state after; `none` is the incident that is not open yet. */
export const TRANSITIONS: Readonly<Record<State | "none", Readonly<Record<string, State>>>> = {
  none: { IncidentOpened: "received" },
  received: { DeskOffered: "ringing", OperatorAssigned: "in_call", IncidentClosed: "closed" },
  ringing: {
    DeskOffered: "ringing",
    OperatorAssigned: "in_call",
    DisclosureDecided: "handing_over",
    IncidentClosed: "closed",
  },
  in_call: { OperatorAssigned: "in_call", OperatorLost: "ringing", DisclosureDecided: "handing_over", IncidentClosed: "closed" },
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
  reopened: { DeskOffered: "ringing", OperatorAssigned: "in_call", IncidentClosed: "closed" },
};

export function fresh(id: string, tenant: string): Incident {
  return {
    id,
    tenant,
    version: 0,
    state: "received",
    mode: "live",
    trigger: "unknown",
    kind: "unknown",
    kinds: [],
    kind_against: null,
    opened_at: null,
    changed_at: null,
    offers: 0,
    desks: [],
    operator: null,
    unattended_at: null,
    sought: [],
    response: null,
    planned: false,
    plan_flags: [],
    place_version: 0,
    heard_place: null,
    move: null,
    place_asked: false,
    heard: [],
    located: null,
    prefecture: null,
    agencies: [],
    services: [],
    declined: [],
    disclosures: [],
    consent: null,
    referrals: [],
    alarms: [],
    handover: null,
    legs: [],
    recordings: [],
    flags: [],
    registry_flags: null,
    call_back_window_s: null,
    call_back_from: null,
    held_at: null,
    registered: [],
    registered_withheld: [],
    judged: 0,
    urgent: [],
    urgent_reported: [],
    passed: [],
    disposition: null,
    kept_as: [],
    holds: [],
    destroyed: [],
    read_by: [],
    cancelled: null,
    matches: [],
    linked: null,
    answers: [],
    tested: null,
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
  const now = { ...incident, version: incident.version + 1, ...changes, ...moved, ...opened };
  return {
    ...now,
    ...followed(now, event.at),
    ...answering(now, event),
    ...alarmed(now, event),
    ...offered(now, event),
    ...standingBy(now, event),
    ...holding(now, event.at),
    ...held(now, event),
  };
}

/** Steps of the search for a person of ours, as `sos/incident/attendance.py` has them. */
const SEARCH = new Set(["next_desk", "ring_all", "unanswered", "on_call", "nobody"]);

/** Services told beside those who go to the place (`routing/services.py`). */
const BESIDE = new Set(["hospital", "helicopter"]);
/** Deadlines that come again in the same state. */
const AGAIN = new Set(["next_person", "no_voice", "alarm_again", "handover_unanswered", "call_back_over", "held_too_long"]);

/** Whether somebody of an agency that has taken over is in the conference. */
const accompanied = (incident: Incident): boolean =>
  incident.disclosures.some(
    (told) =>
      told.reached === "taken_over" &&
      !BESIDE.has(told.service) &&
      incident.legs.some((leg) => leg.party === "agency" && leg.up && leg.who === told.agency),
  );

/** Whether it is a test in which nothing says that somebody needs help (`sos/incident/testcall.py`). */
export const quiet = ({ mode, urgent, flags }: Incident): boolean =>
  mode === "test" && urgent.length === 0 && !flags.includes("help_asked");

/** Whether a person of ours should have the incident and nobody does. */
/** Whether an agency has telephoned into the call and nobody is there to talk with it. */
export function callsBack({ legs }: Incident): boolean {
  const up = legs.filter((leg) => leg.up && !leg.held);
  return up.some((leg) => leg.party === "agency" && leg.called_in) && up.every((leg) => leg.party === "agency");
}

/** Whether it was an agency's call about another incident, and whoever called is in that one's call now. */
export function broughtElsewhere({ legs, matches }: Incident): boolean {
  const about = matches.some(({ relation, standing }) => relation === "calls_about" && standing === "confirmed");
  return about && legs.some((leg) => leg.left === "transferred") && legs.every((leg) => leg.left !== null);
}

function missing(incident: Incident): boolean {
  if (incident.operator !== null || incident.state === "closed" || quiet(incident)) return false;
  if (waiting(incident)) return !broughtElsewhere(incident);
  if (callsBack(incident)) return true;
  const waits = incident.legs.some((leg) => leg.party === "vehicle" && leg.up);
  return (waits || incident.state !== "handed_over") && !accompanied(incident);
}

function followed(incident: Incident, at: string): Partial<Incident> {
  const wanted = missing(incident);
  if (wanted === (incident.unattended_at !== null)) return {};
  return { unattended_at: wanted ? at : null, sought: [] };
}

const ASSUME_AFTER_MS = 30_000;

/** How `event` changes the no-response clock of `incident`, as it is after it (`sos/incident/response.py`). */
function answering(incident: Incident, event: Happened): Partial<Incident> {
  const clock = incident.response;
  const byKeys = (): boolean =>
    incident.legs.some((leg) => leg.leg === event.data["leg"] && leg.party === "vehicle");
  if (event.kind === "IncidentReopened") return { response: null };
  if (event.kind === "ConsentRecorded" || (event.kind === "KeysPressed" && byKeys())) return answered(incident);
  if (event.kind === "HelpEscalated" && event.data["rung"] === "no_response" && clock !== null)
    return { response: { ...clock, assumed_at: event.at } };
  if (incident.mode === "test" || (clock !== null && (clock.heard || clock.assumed_at !== null))) return {};
  const spokenTo = incident.state !== "closed" && voiceUp(incident);
  if (spokenTo === ((clock?.began_at ?? null) !== null)) return {};
  const began = clock ?? { limit_ms: ASSUME_AFTER_MS, began_at: null, heard: false, assumed_at: null };
  return { response: { ...began, began_at: spokenTo ? event.at : null } };
}

/** Whether the operator who has it and the vehicle are both in the call. */
const voiceUp = (incident: Incident): boolean =>
  incident.legs.some((leg) => leg.party === "vehicle" && leg.up) &&
  incident.legs.some(
    (leg) => leg.up && leg.who === incident.operator && (leg.party === "operator" || leg.party === "supervisor"),
  );

const answered = ({ response }: Incident): Partial<Incident> =>
  response === null || response.heard ? {} : { response: { ...response, heard: true } };

/** How `event` changes to whom `incident` is offered (`sos/incident/handover.py`). */
function offered(incident: Incident, { kind, data, at }: Happened): Partial<Incident> {
  if (kind === "HandoverOffered") return { handover: { to: text(data, "to"), at } };
  const ends = ["HandoverEnded", "OperatorAssigned", "OperatorLost", "IncidentClosed"].includes(kind);
  const over = kind === "HelpEscalated" && data["rung"] === "handover_unanswered";
  return incident.handover !== null && (ends || over) ? { handover: null } : {};
}

/** Why nothing of `incident` may be destroyed (`sos/incident/keeping.py`). */
function held(incident: Incident, { kind, data, at }: Happened): Partial<Incident> {
  if (kind !== "HoldPlaced") return {};
  const placed = { hold: text(data, "hold"), ground: data["ground"] as Hold["ground"], by: text(data, "by"), at };
  return { holds: [...incident.holds, placed] };
}

/** How `event` changes since when the vehicle waits to be called back (`sos/incident/voice.py`). */
function standingBy(incident: Incident, { kind, data, at }: Happened): Partial<Incident> {
  if (kind === "IncidentOpened") return { call_back_from: at };
  const joined = kind === "LegJoined" && data["party"] === "vehicle";
  if (joined || (kind === "HelpEscalated" && data["rung"] === "call_back_over")) return { call_back_from: null };
  if (kind !== "LegLeft" || !ofCar(incident, data) || incident.call_back_from !== null) return {};
  return incident.legs.some((leg) => leg.party === "vehicle" && leg.up) ? {} : { call_back_from: at };
}

/** Since when the vehicle is held while an outside party is called. */
function holding(incident: Incident, at: string): Partial<Incident> {
  const held = incident.legs.some(
    (leg) => leg.party === "vehicle" && leg.left === null && leg.held && leg.held_for !== null,
  );
  return held === (incident.held_at !== null) ? {} : { held_at: held ? at : null };
}

/** Acknowledged alarms that an incident shows, as in `sos/incident/alarms.py`. */
const KEPT = 32;

/** What happens to the alarms of `incident` at a time that is shown with it. */
function alarmed(incident: Incident, { kind, data, at }: Happened): Partial<Incident> {
  if (kind === "AlarmAcknowledged")
    return alarmChanged(incident, data, { operator: text(data, "operator"), acknowledged_at: at });
  if (kind !== "AlarmRaised") return {};
  const done = incident.alarms.filter((known) => known.operator !== null);
  const dropped = new Set(done.slice(0, Math.max(0, done.length - KEPT + 1)));
  const made: Alarm = {
    alarm: text(data, "alarm"),
    why: data["why"] as Alarm["why"],
    about: (data["about"] as string | undefined) ?? "",
    raised_at: at,
    audience: null,
    supervisors: [],
    operator: null,
    acknowledged_at: null,
  };
  return { alarms: [...incident.alarms.filter((known) => !dropped.has(known)), made] };
}

function alarmChanged(incident: Incident, data: Data, changes: Partial<Alarm>): Partial<Incident> {
  return { alarms: incident.alarms.map((known) => (known.alarm === data["alarm"] ? { ...known, ...changes } : known)) };
}

type Data = Happened["data"];
type Effect = (incident: Incident, data: Data) => Partial<Incident>;

const text = (data: Data, name: string): string => data[name] as string;
const categories = (data: Data, name = "categories"): readonly Category[] => texts(data, name) as readonly Category[];
const texts = (data: Data, name: string): readonly string[] => (data[name] as readonly string[] | undefined) ?? [];

/** Seconds by which a call counts as having come earlier, by ground, the most urgent first (`sos/incident/urgency.py`). */
export const HEAD_START: ReadonlyMap<string, number> = new Map([
  ["fire", 180],
  ["water", 180],
  ["trapped", 180],
  ["ejected", 180],
  ["pedestrian", 180],
  ["rollover", 180],
  ["sender_severe", 180],
  ["judged_severe", 180],
  ["heard_severe", 180],
  ["hard_impact", 180],
  ["fuelLeak", 60],
]);

const ofCar = (incident: Incident, data: Data): boolean =>
  incident.legs.some((leg) => leg.leg === data["leg"] && leg.party === "vehicle");

const urgent = (found: readonly string[]): readonly string[] => [...HEAD_START.keys()].filter((one) => found.includes(one));

const EFFECTS: Readonly<Record<string, Effect>> = {
  IncidentOpened: (incident, data) => ({
    mode: data["mode"] as Mode,
    trigger: data["trigger"] as Trigger,
    flags: flagged([], data),
    ...triggered(incident, data),
  }),
  ReportFiled: (incident, data) => ({
    ...kindHeard(incident, (data["kind"] as EmergencyKind | undefined) ?? "unknown", (data["kind_because"] as string | undefined) ?? ""),
    ...grounds(incident.heard, [...incident.urgent_reported, ...texts(data, "urgent")]),
    located: (data["located"] as boolean) || incident.located === true,
    flags: doubted(codesOf(data).includes("not_filed") ? flagged(incident.flags, { readable: false }) : incident.flags, data),
  }),
  ReportJoined: (incident, data) => ({
    flags: flagged(incident.flags, data),
    trigger: data["trigger"] === "automatic" ? "automatic" : incident.trigger,
    ...triggered(incident, data),
  }),
  KindStated: (incident, data) => kindTaken(incident, data["kind"] as EmergencyKind, "operator", "asked"),
  CardAnswered: cardAnswered,
  TellingDeclined: (incident, data) => ({
    declined: [...new Set([...incident.declined, ...(texts(data, "services") as readonly Service[])])],
  }),
  CancelReceived: (incident, data) => ({
    cancelled: text(data, "reason"),
    flags: [...new Set([...incident.flags, "cancel_requested"])],
  }),
  MatchProposed: (incident, data) => matched(incident, data, "proposed"),
  MatchConfirmed: (incident, data) => matched(incident, data, "confirmed"),
  MatchUndone: (incident, data) => matched(incident, data, "undone"),
  IncidentsLinked: (_, data) => ({
    linked: {
      crash_id: text(data, "crash_id"),
      number: text(data, "number"),
      cars: data["cars"] as Linked["cars"],
      told: (data["told"] as Linked["told"] | undefined) ?? [],
    },
  }),
  IncidentsUnlinked: () => ({ linked: null }),
  LinkedTold: ({ linked }, data) => {
    if (linked === null) return {};
    const made: ToldElsewhere = {
      incident: text(data, "incident"),
      disclosure: text(data, "disclosure"),
      agency: text(data, "agency"),
      service: data["service"] as Service,
      version: (data["version"] as number | undefined) ?? 1,
      supersedes: (data["supersedes"] as string | undefined) ?? null,
    };
    const others = linked.told.filter((known) => known.disclosure !== made.disclosure && known.disclosure !== made.supersedes);
    return { linked: { ...linked, told: [...others, made] } };
  },
  ReceiptIssued: (_, data) => ({ tested: data["passed"] as boolean }),
  KeysPressed: (incident, data) =>
    incident.mode === "test" && text(data, "keys").includes("9") && ofCar(incident, data)
      ? { flags: [...new Set([...incident.flags, "help_asked"])] }
      : {},
  AnswerGiven: (incident, data) => ({
    answers: [
      ...incident.answers,
      { answer: text(data, "answer"), action: data["action"] as AnswerAction, delivered: null },
    ],
  }),
  AnswerDelivered: (incident, data) => ({
    answers: incident.answers.map((known) =>
      known.answer === data["answer"] ? { ...known, delivered: text(data, "channel") } : known,
    ),
  }),
  PlanMade: (incident, data) => ({
    planned: true,
    prefecture: (data["prefecture"] as string | null | undefined) ?? null,
    agencies: texts(data, "agencies"),
    services: texts(data, "services") as readonly Service[],
    ...flagsOfPlan(incident, texts(data, "flags")),
    ...(data["same_place"] === true ? {} : { place_version: incident.place_version + 1 }),
    ...(data["same_place"] === true ? {} : moved(incident, (data["source"] as string | undefined) ?? "vehicle", data["moved_m"] as number | null | undefined)),
  }),
  MoveNoticed: (_, data) => ({ move: { distance_m: data["distance_m"] as number, in_force: false } }),
  MoveSettled: () => ({ move: null }),
  PlaceHeard: (_, data) => ({
    heard_place: { source: text(data, "source"), how: text(data, "how"), found: data["found"] === true },
    place_asked: true,
  }),
  PlaceReadBack: (incident, data) =>
    disclosed(incident, data, { read_back: data["agreed"] === true ? (data["version"] as number) : null }),
  HeardPlaceSettled: () => ({ heard_place: null }),
  RegisteredDataCopied: (incident, data) => ({
    registered: (["MED", "FAM"] as const).filter((one) => [...incident.registered, ...categories(data)].includes(one)),
    registered_withheld: categories(data, "withheld"),
  }),
  PlaceStated: () => ({ place_asked: true }),
  SeverityJudged: (incident, data) => ({
    judged: data["report"] as number,
    ...grounds(incident.heard, [
      ...incident.urgent_reported.filter((ground) => ground !== "judged_severe"),
      ...(data["severe"] === true ? ["judged_severe"] : []),
    ]),
  }),
  VehicleRecognised: (incident, data) => {
    const others = incident.flags.filter((flag) => !(incident.registry_flags ?? []).includes(flag));
    const told = texts(data, "flags");
    return {
      flags: [...new Set([...others, ...told])],
      registry_flags: told,
      call_back_window_s: data["call_back_window_s"] as number,
    };
  },
  DeskOffered: (_, data) => ({ offers: data["round"] as number, desks: texts(data, "desks") }),
  OperatorAssigned: (incident, data) => ({
    operator: text(data, "operator"),
    desks: [text(data, "desk")],
    offers: 0,
    flags: incident.flags.filter((flag) => flag !== "untold"),
  }),
  OperatorLost: () => ({ operator: null, desks: [], offers: 0 }),
  LegInvited: (incident, data) => legKnown(incident, data, { up: false, called_in: data["called_in"] === true }),
  LegDialled: (incident, data) => legKnown(incident, data, { up: false, held: data["held"] === true }),
  LegJoined: (incident, data) => legKnown(incident, data, { up: true, ringing: false }),
  LegRinging: (incident, data) => legChanged(incident, data, { ringing: true }),
  LegLeft: (incident, data) =>
    legChanged(incident, data, { up: false, ringing: false, left: text(data, "reason") }),
  LegModeSet: (incident, data) =>
    legChanged(incident, data, {
      held: data["held"] as boolean,
      muted: data["muted"] as boolean,
      coaching: (data["coaching"] as string | null | undefined) ?? null,
      held_for: data["held"] === true ? ((data["while_called"] as string | null | undefined) ?? null) : null,
    }),
  NoticePlayed: (incident, data) => {
    const told = incident.legs.find((known) => known.leg === data["leg"])?.notices ?? [];
    return legChanged(incident, data, { notices: [...told, text(data, "notice")] });
  },
  BriefSpoken: (incident, data) => {
    const read = incident.legs.find((known) => known.leg === data["leg"])?.briefs ?? [];
    return legChanged(incident, data, { briefs: [...read, text(data, "disclosure")] });
  },
  RecordingStarted: (incident, data) => recorded(incident, data, { sealed: false, failed: false }),
  RecordingSealed: (incident, data) => recorded(incident, data, { sealed: true, failed: false }),
  RecordingFailed: (incident, data) => recorded(incident, data, { sealed: false, failed: true }),
  ConsentRecorded: (_, data) => ({
    consent: {
      answer: data["answer"] as ConsentGiven["answer"],
      categories: categories(data),
      agencies: texts(data, "agencies"),
    },
  }),
  AlarmShown: (incident, data) =>
    alarmChanged(incident, data, {
      audience: data["audience"] as Alarm["audience"],
      supervisors: texts(data, "supervisors"),
    }),
  DisclosureReferred: (incident, data) => ({
    referrals: [
      ...incident.referrals,
      {
        referral: text(data, "referral"),
        agency: text(data, "agency"),
        path: text(data, "path"),
        approved: null,
        supervisor: null,
        facts: [],
      },
    ],
  }),
  ReferralAnswered: (incident, data) => ({
    referrals: incident.referrals.map((known) =>
      known.referral === data["referral"]
        ? {
            ...known,
            approved: data["approved"] as boolean,
            supervisor: text(data, "supervisor"),
            facts: texts(data, "facts"),
          }
        : known,
    ),
  }),
  DisclosureDecided: (incident, data) => ({
    ...(data["unattended"] === true ? { flags: [...new Set([...incident.flags, "told_unattended"])] } : {}),
    disclosures: [
      ...incident.disclosures.map((known) =>
        known.disclosure === data["supersedes"] ? { ...known, superseded: true } : known,
      ),
      {
        disclosure: text(data, "disclosure"),
        agency: text(data, "agency"),
        service: data["service"] as Service,
        brief_version: (data["brief_version"] as number | undefined) ?? 1,
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
        unattended: data["unattended"] === true,
        elsewhere: false,
        joined: texts(data, "joined"),
        otherwise: false,
        categories: categories(data),
        unheard: incident.heard.some(
          (one) => one.at_n > ((data["heard"] as number | undefined) ?? 0) && categories(data).includes(one.category),
        ),
        read_back: null,
        status: incident.disclosures.find((known) => known.disclosure === data["supersedes"])?.status ?? null,
      },
    ],
  }),
  TellingWithheld: (incident) => ({ flags: [...new Set([...incident.flags, "untold"])] }),
  SearchLimited: () => ({}),
  PlacedInMassEvent: () => ({}),
  ResponseHeard: answered,
  ResponseAwaited: ({ response }, data) =>
    response === null
      ? {}
      : { response: { ...response, limit_ms: response.limit_ms + (data["seconds"] as number) * 1000 } },
  DeliveryStarted: (incident, data) => disclosed(incident, data, { attempts: data["attempt"] as number }),
  DeliveryConfirmed: reached,
  AgencyAcknowledged: reached,
  AgencyRejected: (incident, data) => disclosed(incident, data, { rejected: text(data, "reason") }),
  AgencyReported: (incident, data) => disclosed(incident, data, { status: data["status"] as Disclosure["status"] }),
  AgencyAsked: (incident, data) => disclosed(incident, data, { asked: data["question"] as Disclosure["asked"] }),
  DeliveryFailed: (incident, data) =>
    told(incident, data)?.reached === "transport" ? disclosed(incident, data, { reached: null }) : {},
  RungTaken: (incident, data) => {
    const known = told(incident, data);
    if (known === undefined) return {};
    return disclosed(incident, data, {
      rung: data["rung"] as Disclosure["rung"],
      line: (data["line"] as string | null | undefined) ?? null,
      by_hand: data["by_hand"] === true,
      alarms: known.alarms + (data["rung"] === "supervisor" ? 1 : 0),
      proposed: [...new Set([...known.proposed, ...texts(data, "proposed")])],
    });
  },
  AgencyCallRequested: (incident, data) =>
    disclosed(incident, data, {
      calls: [...(told(incident, data)?.calls ?? []), { leg: text(data, "leg"), line: text(data, "line"), outcome: null }],
    }),
  AgencyCallEnded: (incident, data) =>
    disclosed(incident, data, {
      calls: (told(incident, data)?.calls ?? []).map((call) =>
        call.leg === data["leg"] ? { ...call, outcome: text(data, "outcome") } : call,
      ),
    }),
  PartsRead: (incident, data) =>
    text(data, "purpose") === "offered"
      ? {}
      : { read_by: [...incident.read_by, [text(data, "reader"), categories(data)]] },
  HelpEscalated: (incident, data) => {
    const rung = text(data, "rung");
    if (AGAIN.has(rung)) return {};
    const known = SEARCH.has(rung) ? "sought" : "passed";
    return incident[known].includes(rung) ? {} : { [known]: [...incident[known], rung] };
  },
  IncidentClosed: (_, data) => ({
    disposition: data["disposition"] as Disposition,
    read_by: [],
    desks: [],
    kept_as: data["retention"] as Incident["kept_as"],
  }),
  HoldReleased: (incident, data) => ({ holds: incident.holds.filter((known) => known.hold !== data["hold"]) }),
  DataDestroyed: (incident, data) => {
    const gone = (data["disposed"] as { category: Category }[]).map(({ category }) => category);
    const before = incident.destroyed.filter(([category]) => !gone.includes(category));
    return { destroyed: [...before, ...gone.map((category) => [category, incident.version + 1] as const)] };
  },
  IncidentReopened: () => ({ disposition: null, operator: null, offers: 0, desks: [], declined: [] }),
};

/** What an event changes besides the state.  Kinds that are not here change nothing else. */
export const KINDS_WITH_EFFECT = Object.keys(EFFECTS);

/** Who is needed for each kind of emergency (`routing/kinds.py`). */
export const NEEDED: Readonly<Record<EmergencyKind, readonly Service[]>> = {
  unknown: ["fire", "police"],
  crash: ["fire", "police"],
  illness: ["fire"],
  fire: ["fire", "police"],
  crime: ["police"],
  breakdown: [],
  disaster: ["fire", "police"],
  other: ["fire", "police"],
};

/** Whether `kind` needs somebody whom `than` does not, or says something where nothing was known. */
const louder = (kind: EmergencyKind, than: EmergencyKind): boolean =>
  than === "unknown" ? kind !== "unknown" : NEEDED[kind].some((service) => !NEEDED[than].includes(service));

const triggered = (incident: Incident, data: Data): Partial<Incident> =>
  data["trigger"] === "automatic" ? kindHeard(incident, "crash", "trigger") : {};

/** What a vehicle's word changes of the kind of emergency (`sos/incident/emergency.py`). */
function kindHeard(incident: Incident, kind: EmergencyKind, because: string): Partial<Incident> {
  if (!louder(kind, incident.kind)) return {};
  const { kind_against: against } = incident;
  if (incident.kinds.at(-1)?.source === "operator")
    return against === null || louder(kind, against) ? { kind_against: kind } : {};
  return kindTaken(incident, kind, ["trigger", "said", "service"].includes(because) ? "vehicle" : "deduced", because);
}

function kindTaken(incident: Incident, kind: EmergencyKind, source: KindSource, because: string): Partial<Incident> {
  const said = { kind, source, because, at_n: incident.version + 1 };
  const taken = { kind, kinds: [...incident.kinds, said], kind_against: null };
  if (kind === incident.kind) return taken;
  const otherwise = (told: Disclosure): Disclosure =>
    told.superseded || told.rejected !== null ? told : { ...told, otherwise: true };
  return { ...taken, declined: [], disclosures: incident.disclosures.map(otherwise) };
}

/** Why a call goes before others: by what is reported, and by what was answered (`sos/incident/cards.py`). */
function grounds(heard: readonly Heard[], reported: readonly string[]): Pick<Incident, "urgent" | "urgent_reported"> {
  return { urgent: urgent([...reported, ...heard.flatMap((one) => one.urgent)]), urgent_reported: urgent(reported) };
}

/** The last answer to a question stands; whoever was told before it does not know it. */
function cardAnswered(incident: Incident, data: Data): Partial<Incident> {
  const made: Heard = {
    question: text(data, "question"),
    category: data["category"] as Category,
    at_n: incident.version + 1,
    urgent: texts(data, "urgent"),
    needs: texts(data, "needs") as readonly Service[],
  };
  const heard = [...incident.heard.filter((one) => one.question !== made.question), made];
  const before = (told: Disclosure): Disclosure =>
    !told.superseded && told.rejected === null && told.categories.includes(made.category) ? { ...told, unheard: true } : told;
  return {
    ...grounds(heard, incident.urgent_reported),
    heard,
    declined: incident.declined.filter((one) => !made.needs.includes(one)),
    disclosures: incident.disclosures.map(before),
  };
}

/** Services of the plan of which nobody was told and nobody has said why not (`sos/incident/declining.py`). */
export function undecided(incident: Incident): readonly Service[] {
  if (incident.mode === "test") return [];
  const told = new Set(incident.disclosures.map((one) => one.service));
  return incident.services.filter((one) => !told.has(one) && !incident.declined.includes(one));
}

/** All that the plan before had raised goes with it. */
function flagsOfPlan(incident: Incident, found: readonly string[]): Partial<Incident> {
  const known = incident.flags.filter((flag) => !incident.plan_flags.includes(flag));
  const raised = found.filter((flag) => !known.includes(flag));
  return { flags: [...known, ...raised], plan_flags: raised };
}

/** Who was told of the place before was told of one that holds no longer. */
function moved(incident: Incident, source: string, distance_m: number | null | undefined): Partial<Incident> {
  const far = distance_m ?? null;
  const move = source !== "vehicle" ? null : far === null ? incident.move : { distance_m: far, in_force: true };
  if (far === null) return { move };
  const elsewhere = (told: Disclosure): Disclosure =>
    told.superseded || told.rejected !== null ? told : { ...told, elsewhere: true };
  return { move, disclosures: incident.disclosures.map(elsewhere) };
}

/** Findings of a report that an operator should see at a glance, as in `sos/incident/correlation.py`. */
const FLAGGED = new Set(["no_data", "over_rate", "id_reused", "incident_closed", "vehicle_mismatch", "retained"]);

/** Findings by which a report cannot be true, as in `sos/incident/correlation.py`. */
const CANNOT_BE = new Set([
  "event_time_impossible",
  "fix_time_impossible",
  "location_impossible",
  "location_swapped",
  "position_impossible",
  "retained",
]);

const codesOf = (data: Data): readonly string[] =>
  texts(data, "findings").map((finding) => finding.split(":", 1)[0] ?? "");

const doubted = (known: readonly string[], data: Data): readonly string[] =>
  codesOf(data).some((code) => CANNOT_BE.has(code)) ? [...new Set([...known, "implausible_report"])] : known;

function flagged(known: readonly string[], data: Data): readonly string[] {
  const unread = data["readable"] === false ? ["unreadable_report"] : [];
  return doubted([...new Set([...known, ...unread, ...codesOf(data).filter((code) => FLAGGED.has(code))])], data);
}

function matched(incident: Incident, data: Data, standing: Match["standing"]): Partial<Incident> {
  const made: Match = { other: text(data, "other"), relation: data["relation"] as Match["relation"], standing };
  const others = incident.matches.filter((one) => one.other !== made.other || one.relation !== made.relation);
  return { matches: [...others, made] };
}

const FRESH_LEG = { up: false, ringing: false, held: false, muted: false, coaching: null, called_in: false, held_for: null, left: null, notices: [], briefs: [] };

function legKnown(incident: Incident, data: Data, changes: Partial<Leg>): Partial<Incident> {
  const leg = text(data, "leg");
  const known = incident.legs.find((one) => one.leg === leg) ?? FRESH_LEG;
  const others = incident.legs.filter((one) => one.leg !== leg);
  const who = { leg, party: data["party"] as Party, who: text(data, "who"), left: null };
  return { legs: [...others, { ...known, ...who, ...changes }] };
}

function legChanged(incident: Incident, data: Data, changes: Partial<Leg>): Partial<Incident> {
  return { legs: incident.legs.map((known) => (known.leg === data["leg"] ? { ...known, ...changes } : known)) };
}

function recorded(incident: Incident, data: Data, how: Omit<Recording, "recording">): Partial<Incident> {
  const recording = text(data, "recording");
  const others = incident.recordings.filter((known) => known.recording !== recording);
  return { recordings: [...others, { recording, ...how }] };
}

const told = (incident: Incident, data: Data): Disclosure | undefined =>
  incident.disclosures.find((known) => known.disclosure === data["disclosure"]);

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
  disclosure.reached !== "taken_over" && disclosure.rejected === null && !disclosure.superseded;

export const waiting = (incident: Incident): boolean =>
  incident.state === "received" || incident.state === "ringing" || incident.state === "reopened";

/** Whether an operator must take it up: it waits, or its operator was lost after agencies were told. */
export const answerable = (incident: Incident): boolean =>
  waiting(incident) ||
  (incident.operator === null && (incident.state === "handing_over" || incident.state === "handed_over"));

/** Whether the operator who has it talks with the vehicle now. */
export const talking = (incident: Incident): boolean =>
  incident.state === "in_call" || incident.state === "handing_over" || incident.state === "handed_over";
