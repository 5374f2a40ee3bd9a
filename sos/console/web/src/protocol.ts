/**
 * The frames between this page and `/console/socket`, as types.  One JSON object per text frame.
 * Names inside incidents and events are the server's own (snake_case); names inside parts are camelCase.
 */

export type Mode = "live" | "test" | "drill";
export type Trigger = "automatic" | "manual" | "unknown";
export type State = "received" | "ringing" | "in_call" | "handing_over" | "handed_over" | "closed" | "reopened";
export type Service = "fire" | "police" | "ambulance" | "marine" | "hospital" | "helicopter" | "road";
export type Party = "vehicle" | "operator" | "agency" | "supervisor";

export const DISPOSITIONS = [
  "handed_over",
  "no_help_needed",
  "false_alarm",
  "misuse",
  "abandoned",
  "duplicate",
  "test",
  "drill",
] as const;
export type Disposition = (typeof DISPOSITIONS)[number];

/** In rising order: only the last two say that a human being at the agency knows. */
export const ACKNOWLEDGEMENTS = ["transport", "delivered", "heard", "taken_over"] as const;
export type Acknowledgement = (typeof ACKNOWLEDGEMENTS)[number];

/** What an operator takes as the reason; the law knows more, each with a workflow of its own. */
export const PATHS = ["life_protection", "agreed", "refused", "third_party"] as const;
export type Path = (typeof PATHS)[number];

/** What a person can agree to have told. */
export const TELLABLE = ["LOC", "VEH", "SEV", "TEL", "PER", "OBS"] as const;

export const NECESSITIES = ["automatic_crash", "call_for_help", "silence_after_crash", "sounds"] as const;
/** Reasons to help somebody else than our customer. */
export const OTHERS_NECESSITIES = ["third_person", "traffic"] as const;
export type Necessity = (typeof NECESSITIES)[number] | (typeof OTHERS_NECESSITIES)[number];

export const CONSENTS = ["no_answer", "unintelligible", "unconscious", "minor", "delay"] as const;
export type Consent = (typeof CONSENTS)[number] | "refused";

/** A request to tell an agency, as the law is asked about it. */
export interface DisclosureRequest {
  path: Path;
  necessity?: Necessity;
  consent?: Consent;
  facts?: readonly string[];
  reason?: string;
  /** A newer brief for an agency that was told before. */
  update?: boolean;
  confirmed?: boolean;
}

export interface Leg {
  leg: string;
  party: Party;
  who: string;
  up: boolean;
  ringing: boolean;
  held: boolean;
  muted: boolean;
  coaching: string | null;
  /** Held by itself while this leg is called, and let go when it ends. */
  held_for: string | null;
  left: string | null;
  notices: readonly string[];
  /** Whose briefs have been read to it by the machine, each time it was. */
  briefs: readonly string[];
}

export interface Recording {
  recording: string;
  sealed: boolean;
  failed: boolean;
}

/** What the person said last when asked whether somebody may be told. */
export interface ConsentGiven {
  answer: "agreed" | "refused";
  categories: readonly string[];
  agencies: readonly string[];
}

/** A request to tell an agency that a supervisor has to decide; `approved` is null until then. */
export interface Referral {
  referral: string;
  agency: string;
  path: string;
  approved: boolean | null;
  supervisor: string | null;
  facts: readonly string[];
}

/** A place that is not where it was. */
export interface Move {
  distance_m: number;
  /** The new place holds already; false: the one that a person has stated does. */
  in_force: boolean;
}

export interface Disclosure {
  disclosure: string;
  agency: string;
  service: Service;
  brief_version: number;
  /** A newer brief has been decided for the same agency. */
  superseded: boolean;
  reached: Acknowledgement | null;
  rejected: string | null;
  attempts: number;
  status: "dispatched" | "on_scene" | "closed" | null;
  /** How loudly the agency is being told: `push`, `first_line` ... `supervisor`; `heard` or `refused` once it answered. */
  rung: string | null;
  line: string | null;
  /** The operator has to dial that line. */
  by_hand: boolean;
  alarms: number;
  /** Whom the ladder proposes to tell as well; only the operator decides. */
  proposed: readonly string[];
  calls: readonly AgencyCall[];
  asked: string | null;
  /** No person decided it: nobody of ours was there. */
  unattended: boolean;
  /** It was told of a place that holds no longer, and not of the new one. */
  elsewhere: boolean;
}

/** What an operator can record that an agency said on the telephone. */
export const AGENCY_SAID = ["heard", "taken_over", "dispatched", "not_our_area", "no_unit_free", "withdrawn"] as const;
export type AgencySaid = (typeof AGENCY_SAID)[number];

export interface AgencyCall {
  leg: string;
  line: string;
  outcome: string | null;
}

/** Another incident that may belong to this one; both stay incidents of their own. */
export interface Match {
  other: string;
  relation: "same_call" | "same_crash";
  standing: "proposed" | "confirmed" | "undone";
}

export type AnswerAction = "ack" | "requestData" | "callBack" | "message";

/** Something the vehicle shall get; `delivered` is the channel that took it there. */
export interface Answer {
  answer: string;
  action: AnswerAction;
  delivered: string | null;
}

/** Why an operator waits longer for an answer. */
export type WaitReason = "line" | "sounds" | "language" | "others";

/** How long the people in the vehicle have been spoken to (`sos/incident/response.py`). */
export interface ResponseClock {
  limit_ms: number;
  /** Since when somebody speaks to them; null while nobody does. */
  began_at: string | null;
  heard: boolean;
  /** When the time was over and nobody was taken to be conscious. */
  assumed_at: string | null;
}

/** What the server's `evolve` has computed so far; `state.ts` continues it with the same rules. */
export interface Incident {
  id: string;
  tenant: string;
  version: number;
  state: State;
  mode: Mode;
  trigger: Trigger;
  opened_at: string | null;
  changed_at: string | null;
  offers: number;
  desks: readonly string[];
  operator: string | null;
  /** Since when a person of ours is missing; null while somebody has it or nobody is needed. */
  unattended_at: string | null;
  /** What has been done since then to find somebody: `next_desk`, `ring_all`, `unanswered`, `on_call`, `nobody`. */
  sought: readonly string[];
  /** Whether anybody in the vehicle answers; null before anybody was spoken to. */
  response: ResponseClock | null;
  planned: boolean;
  /** Those of `flags` that the plan in force has raised. */
  plan_flags: readonly string[];
  move: Move | null;
  located: boolean | null;
  prefecture: string | null;
  agencies: readonly string[];
  disclosures: readonly Disclosure[];
  consent: ConsentGiven | null;
  referrals: readonly Referral[];
  legs: readonly Leg[];
  recordings: readonly Recording[];
  flags: readonly string[];
  /** Those of `flags` that the registry gave; null until it was asked. */
  registry_flags: readonly string[] | null;
  /** What the customer registered for an emergency and lies in the incident: MED, FAM. */
  registered: readonly string[];
  /** What the registry holds of it and the law does not let be used, as things stand. */
  registered_withheld: readonly string[];
  /** Number of the newest event in the last judgement of severity; 0 without one. */
  judged: number;
  /** Why it goes before others of its class, the most urgent first. */
  urgent: readonly string[];
  passed: readonly string[];
  disposition: Disposition | null;
  read_by: readonly (readonly [string, readonly string[]])[];
  /** Why the vehicle asked that no help be sent; only an operator closes. */
  cancelled: string | null;
  matches: readonly Match[];
  answers: readonly Answer[];
  /** Whether a test call has passed. */
  tested: boolean | null;
}

/** One thing that happened.  `data` holds the event's fields; fields at their default may be missing. */
export interface Happened {
  n: number;
  kind: string;
  at: string;
  actor: string;
  data: Readonly<Record<string, unknown>>;
}

export interface Agency {
  name_ja: string;
  name_en: string;
  service: Service;
  exercise_partner: boolean;
  /** Telephone numbers by line, for an operator who has to dial. */
  lines?: Readonly<Record<string, string>>;
  /** Whether its brief can be read to it by machine. */
  speaks?: boolean;
}

export interface Fix {
  latitude: number;
  longitude: number;
  ageSeconds?: number;
}

export interface Location {
  latitude?: number;
  longitude?: number;
  heading?: number;
  horizontalAccuracy?: number;
  trusted?: boolean;
  timestamp?: string;
  recent?: readonly Fix[];
  reported?: string;
}

/** The place of a plan: one position with all that is said of it. */
export interface Place extends Location {
  /** Who says so: `vehicle`, or `operator`. */
  source?: "vehicle" | "operator";
  prefectureName?: string;
  municipalityName?: string;
  borderDistanceM?: number;
  runnerUp?: string;
  runnerUpName?: string;
  /** The place as a dispatcher writes it down: road or town first, then coordinates and grid. */
  aloudJa?: string;
  aloudEn?: string;
  planning?: { plan: { hospitals?: readonly Hospital[] } };
}

/** A suggestion; the fire service decides. */
export interface Hospital {
  id: string;
  name: string;
  phone: string | null;
  minutes: number;
  distance_m: number;
  bearing_deg: number;
}

/** What a geocoder says stands there; nobody has verified it. */
export interface NamedPlace {
  address: string;
  addressDistanceM: number;
}

export interface Vehicle {
  idScheme?: string;
  idValue?: string;
  brand?: string;
  model?: string;
  exteriorColor?: string;
  licensePlate?: string;
  category?: string;
  energy?: readonly string[];
  occupants?: number;
  belted?: number;
}

export interface Crash {
  eventTime?: string;
  impact?: string;
  deltaVX?: number;
  deltaVY?: number;
  deltaV?: number;
  deltaVLimit?: number;
  principalDirectionClock?: number;
  multipleImpacts?: boolean;
  rollover?: string;
  airbagDeployed?: boolean;
  speedBefore?: number;
  fire?: boolean;
  submersed?: boolean;
  fuelLeak?: boolean;
  trapped?: boolean;
  ejected?: boolean;
  pedestrian?: boolean;
  severeInjury?: boolean;
  summary?: string;
}

/** The aid's judgement of one crash; `routing/severity.py` made it.  Absent where the brand does no profiling. */
export interface Prediction {
  level: "severe" | "attention" | "not_raised" | "unknown";
  reasons: readonly string[];
  chosen: string;
  score: { model: string; outcome: string; risk: number; flags?: readonly string[] } | null;
}

/** The contract's holder, copied from the registry into the incident. */
export interface Owner {
  ownerName?: string;
  ownerTel?: string;
}

/** What is said in a brand's name. */
export interface Brand {
  name_ja: string;
  name_en: string;
  operator: string;
  words: Readonly<Record<string, { greeting: string; recording_notice?: string; script?: readonly string[] }>>;
}

export interface CallBack {
  tel?: string;
  language?: string;
}

/** Personal data of one event, by category.  Served only after `open`, which the server journals as an access. */
export interface PartsItem {
  event: string;
  kind: string;
  n: number;
  at: string;
  parts: Readonly<Record<string, unknown>>;
}

export type Health = "ok" | "degraded" | "down" | "failed";

export interface Welcome {
  t: "welcome";
  operator: { id: string; name: string; supervisor?: boolean };
  desk: string;
  now: string;
  demo: boolean;
  agencies: Readonly<Record<string, Agency>>;
  languages: readonly string[];
  /** By tenant; a brand without a pack is missing. */
  brands?: Readonly<Record<string, Brand>>;
  /** Changes with every start of the server; when it does, voice legs are offered again at once. */
  boot?: string;
  /** Whether the house reaches telephone numbers; otherwise the operator dials by hand. */
  dials?: boolean;
  /** How this desk takes part in calls; `webrtc` when it is missing. */
  voice?: "webrtc" | "sdk" | "telephone" | "none";
  /** False when the operator works at the same desk in another window. */
  active?: boolean;
}

/** A report that came in while the database was away: safe on disk, and an incident as soon as it is back. */
export interface Degraded {
  t: "degraded";
  incident: string;
  received_at: string;
  trigger: Trigger;
  mode: Mode;
  report: { location: Location; vehicle: Vehicle; crash: Crash; call_back: CallBack };
}

/** Something that was said, as a machine understood it. */
export interface TranscriptLine {
  n: number;
  party: Party;
  /** Empty for the vehicle, whose calls are one voice. */
  leg: string;
  at: string;
  /** Empty: the machine was not in time for it. */
  text: string;
}

export interface Fault {
  type: string;
  title: string;
  detail?: string;
}

export type EventFrame = { t: "event"; position: number | null; incident: string; tenant: string } & Happened;

export type FromServer =
  | Welcome
  | EventFrame
  | { t: "snapshot"; position: number; incidents: Incident[]; total: number }
  /** `unreadable`: categories of which something should be here and cannot be opened: `lost` or `damaged`. */
  | { t: "parts"; incident: string; items: PartsItem[]; unreadable?: Readonly<Record<string, string>> }
  | Degraded
  | { t: "recorded"; incident: string }
  /** Ten times a second while somebody is in the call: each leg's mean and peak loudness, dBov (0 to -127), and whether
   * somebody speaks there, as far as loudness tells. */
  | { t: "levels"; incident: string; legs: Readonly<Record<string, readonly [rms: number, peak: number, speaking?: boolean]>> }
  /** All that a machine has written down of this call lately; no record. */
  | { t: "transcript"; incident: string; machine: true; lines: readonly TranscriptLine[] }
  | { t: "reply"; id: number; ok: true; result?: unknown }
  | { t: "reply"; id: number; ok: false; error: Fault }
  | { t: "health"; items: Readonly<Record<string, Health>>; waiting: number }
  /** The desk is worked at in this window, or in another one, from now on. */
  | { t: "seat"; active: boolean }
  | { t: "beat" };

export type Order =
  | { do: "ready" }
  | { do: "away" }
  | { do: "answer"; incident?: string }
  | { do: "open"; incident: string }
  | { do: "note"; incident: string; category: "OBS" | "PER" | "FAM" | "TEL"; text: string }
  | ({ do: "disclose"; incident: string; agency: string } & DisclosureRequest)
  | { do: "consent"; incident: string; answer: "agreed" | "refused"; categories: readonly string[] }
  | { do: "move"; incident: string; adopted: boolean }
  | { do: "place"; incident: string; text: string; latitude: number | null; longitude: number | null }
  | { do: "approve"; incident: string; referral: string; approved: boolean; facts: readonly string[]; reason: string }
  | { do: "agency_said"; incident: string; disclosure: string; said: AgencySaid }
  | { do: "close"; incident: string; disposition: Disposition }
  | { do: "reopen"; incident: string; reason: string }
  | { do: "match"; incident: string; other: string; relation: Match["relation"]; approved: boolean }
  | { do: "tell_vehicle"; incident: string; action: AnswerAction; text?: string }
  | { do: "mode"; incident: string; leg: string; held: boolean; muted: boolean; coaching: string | null }
  | { do: "invite"; incident: string; agency: string }
  | { do: "dial"; incident: string; agency: string; line: string }
  | { do: "call_vehicle"; incident: string }
  | { do: "notice"; incident: string; leg: string; notice: "silent" | "joining" | "hold" | "wait" }
  | { do: "speak_brief"; incident: string; leg: string }
  | { do: "end_leg"; incident: string; leg: string }
  | { do: "leave_call"; incident: string }
  | { do: "answered"; incident: string; how: "speech" | "sounds" | "keys" }
  | { do: "wait_longer"; incident: string; seconds: number; because: WaitReason }
  | { do: "history"; incident: string }
  | { do: "beat" };
