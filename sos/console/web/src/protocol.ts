/**
 * The frames between this page and `/console/socket`, as types.  One JSON object per text frame.
 * Names inside incidents and events are the server's own (snake_case); names inside parts are camelCase.
 *
 * Made by `ops/protocol.py` of the service's own types: change those and run it.  What the page offers to choose from
 * stands in `offered.ts`, what personal data look like in `parts.ts`.
 */

import type { Brand } from "./parts";

export interface Welcome {
  t: "welcome";
  operator: Sitting;
  desk: string;
  /** false when the operator works at the same desk in another window. */
  active: boolean;
  now: string;
  demo: boolean;
  /** Changes with every start of the service; when it does, voice legs are offered again at once. */
  boot: string;
  agencies: Readonly<Record<string, Agency>>;
  languages: readonly string[];
  /** By tenant; a brand without a pack is missing. */
  brands: Readonly<Record<string, Brand>>;
  /** What is asked, by tenant where a brand asks otherwise than the house; under an empty name what the house asks. */
  cards: Readonly<Record<string, readonly CardQuestion[]>>;
  /** Languages for which somebody can be called to interpret. */
  interpreters: readonly string[];
  /** Names of the other operators. */
  colleagues: Readonly<Record<string, string>>;
  /** Whether the house reaches telephone numbers; otherwise the operator dials by hand. */
  dials: boolean;
  /** How this desk takes part in calls. */
  voice: VoiceBy;
  /** Of which kilometre posts are known. */
  roads: readonly string[];
}

/** Whose desk it is. */
export interface Sitting {
  id: string;
  name: string;
  supervisor: boolean;
}

export interface Agency {
  name_ja: string;
  name_en: string;
  service: Service;
  exercise_partner: boolean;
  default: boolean;
  /** Telephone numbers by line, for an operator who has to dial. */
  lines: Readonly<Record<string, string>>;
  /** Whether its brief can be read to it by machine. */
  speaks: boolean;
}

/** The first four are the last labels of RFC 5031 service URNs (`urn:service:sos.fire`); the others have none. */
export type Service = "fire" | "police" | "ambulance" | "marine" | "hospital" | "helicopter" | "road";

/** A question of the card, as a desk shows it. */
export interface CardQuestion {
  id: string;
  /** On whose cards it stands. */
  kinds: readonly EmergencyKind[];
  category: Category;
  form: AnswerForm;
  ask: Wording;
  /** As the answer is headed. */
  told: Wording;
  choices: readonly AnswerChoice[];
}

export type EmergencyKind = "unknown" | "crash" | "illness" | "fire" | "crime" | "breakdown" | "disaster" | "other";

export type Category = "LOC" | "VEH" | "SEV" | "TEL" | "PER" | "OWN" | "OBS" | "MED" | "FAM" | "AUD" | "TRK" | "BIL" | "RAW";

/** How a question is answered; that nobody knows is an answer to each but words. */
export type AnswerForm = "yes_no" | "choice" | "number" | "words";

/** The same in every language that is shipped. */
export interface Wording {
  ja: string;
  en: string;
}

export interface AnswerChoice {
  id: string;
  ja: string;
  en: string;
}

export type VoiceBy = "webrtc" | "sdk" | "telephone" | "none";

export interface Snapshot {
  t: "snapshot";
  position: number;
  incidents: readonly Incident[];
  /** How many open incidents there are; more than are told. */
  total: number;
}

/** What `evolve` has computed from the events so far. `version` is the number of the last event. */
export interface Incident {
  id: string;
  tenant: string;
  version: number;
  state: State;
  mode: Mode;
  trigger: Trigger;
  /** What has happened, as far as anybody has said: the last of `kinds`. */
  kind: EmergencyKind;
  /** All that it was taken for, the one in force last. */
  kinds: readonly KindSaid[];
  /**
   * What the vehicle says against a person, where that needs more help: planned for as well until a person settles it.
   */
  kind_against: EmergencyKind | null;
  opened_at: string | null;
  /** When `state` was entered: the deadlines of a state count from here. */
  changed_at: string | null;
  /** How often the incident has been offered to desks since it last began to ring. */
  offers: number;
  /** Desks ringing now; empty means every desk. */
  desks: readonly string[];
  operator: string | null;
  handover: Handover | null;
  /** Since when a person of ours is missing; null while somebody has the incident or nobody is needed. */
  unattended_at: string | null;
  /** What has been done since then to find somebody (`attendance.STEPS`). */
  sought: readonly string[];
  /** Whether anybody in the vehicle answers; null before anybody was spoken to. */
  response: ResponseClock | null;
  planned: boolean;
  /** Those of `flags` that the plan in force has raised: the next one takes them back. */
  plan_flags: readonly string[];
  /** What was answered of the question card: the last answer to each question. */
  heard: readonly Heard[];
  located: boolean | null;
  /** Reason code of the vehicle's last wish to cancel; only an operator closes. */
  cancelled: string | null;
  matches: readonly Match[];
  /** The crash that it shares with other incidents; null while it is one by itself. */
  linked: Linked | null;
  answers: readonly Answer[];
  /** Whether a test call has passed; null while it has not been judged or is none. */
  tested: boolean | null;
  /** How many places have been in force; 0: none yet. */
  place_version: number;
  /** What somebody says of the place and the operator has neither adopted nor set aside. */
  heard_place: HeardPlace | null;
  /** The place has moved and nobody has looked at it yet. */
  move: Move | null;
  /** A person has said where it is, at least in words. */
  place_asked: boolean;
  /** ISO 3166-2 code such as `JP-13`; null while unknown. */
  prefecture: string | null;
  agencies: readonly string[];
  /** Who is needed by the plan in force. */
  services: readonly Service[];
  /** Whom of these the operator has decided not to tell, as things stand. */
  declined: readonly Service[];
  disclosures: readonly Disclosure[];
  consent: ConsentGiven | null;
  referrals: readonly Referral[];
  /** Those that stand, and the newest of those that were acknowledged, in the order they were raised. */
  alarms: readonly Alarm[];
  legs: readonly Leg[];
  recordings: readonly Recording[];
  flags: readonly string[];
  /** Those of `flags` that the registry gave; null until it was asked. */
  registry_flags: readonly string[] | null;
  call_back_window_s: number | null;
  /**
   * Since when the vehicle waits to be called back; null before a report, while it is in the call, and once its time
   * is over.
   */
  call_back_from: string | null;
  /** Since when the vehicle is held while an outside party is called; null while it is not. */
  held_at: string | null;
  /** What the customer registered for an emergency and lies in the incident: MED, FAM. */
  registered: readonly Category[];
  /** What the registry holds of it and may not be used, as things stand. */
  registered_withheld: readonly Category[];
  /** Number of the newest event whose facts are in the last judgement of severity. */
  judged: number;
  /** Why it goes before others of its class (`urgency.HEAD_START`), the most urgent first. */
  urgent: readonly string[];
  /** Those of them that rest on reports and judgements, whatever is answered on the call. */
  urgent_reported: readonly string[];
  /** Deadlines of the present state that have passed already. */
  passed: readonly string[];
  disposition: Disposition | null;
  /** The retention class of each category since the last closing, never shorter than an earlier one gave. */
  kept_as: readonly (readonly [Category, string])[];
  /** Why nothing of it may be destroyed, whatever is due. */
  holds: readonly Hold[];
  /** What is gone for good, and up to which event. */
  destroyed: readonly (readonly [Category, number])[];
  /** Who has opened which categories since the incident was last closed: the ground for serving them again. */
  read_by: readonly (readonly [string, readonly Category[]])[];
}

export type State = "received" | "ringing" | "in_call" | "handing_over" | "handed_over" | "closed" | "reopened";

export type Mode = "live" | "test" | "drill";

export type Trigger = "automatic" | "manual" | "unknown";

/** What kind of emergency it was taken for, by whom, and why. */
export interface KindSaid {
  kind: EmergencyKind;
  source: KindSource;
  /** `trigger`, `said`, `service`, `crash_data`, `fire_sensor`; `asked` of a person. */
  because: string;
  /** Number of the event that said so. */
  at_n: number;
}

/** Who says what kind of emergency it is. */
export type KindSource = "vehicle" | "deduced" | "operator";

/** The operator has offered the incident to a colleague, who has not answered yet. */
export interface Handover {
  to: string;
  at: string;
}

/** How long the people in the vehicle have been spoken to. */
export interface ResponseClock {
  /** After which nobody is taken to be conscious. */
  limit_ms: number;
  /** Since when somebody speaks to them; null while nobody does. */
  began_at: string | null;
  /** Somebody answered. */
  heard: boolean;
  /** When the time was over. */
  assumed_at: string | null;
}

/** That a question of the card was answered; the answer itself is sealed in its category. */
export interface Heard {
  question: string;
  category: Category;
  /** Number of the event with the answer that stands. */
  at_n: number;
  /** What of it gives the call a head start, as codes of `urgency.HEAD_START`. */
  urgent: readonly string[];
  /** Who is needed for it, whatever the kind of emergency. */
  needs: readonly Service[];
}

/** That another incident may be part of this one; both stay incidents of their own. */
export interface Match {
  other: string;
  relation: Relation;
  standing: Standing;
}

/** Why two incidents may belong together. */
export type Relation = "same_call" | "same_crash" | "calls_about" | "called_about";

/** How far a proposal has come. */
export type Standing = "proposed" | "confirmed" | "undone";

/**
 * That an incident is one crash with others. Each keeps its own facts; only what is told is told with the others in
 * view.
 */
export interface Linked {
  crash_id: string;
  /** Six digits that operators and agencies say to each other: the same for all of them. */
  number: string;
  /** All of them, this one too. */
  cars: readonly Car[];
  /** By the others. */
  told: readonly ToldElsewhere[];
}

/**
 * One incident of a crash, with its own call, operator, place and severity. Whose brand it is of stands in its own
 * record alone.
 */
export interface Car {
  incident: string;
  share: Share;
  /** Of `SAME_VEHICLE`: which incident is about that vehicle. */
  of: string | null;
}

/** What an incident is of the one crash that it is linked with. */
export type Share = "vehicle" | "same_vehicle" | "caller";

/** An agency was told of the same crash from another of its incidents. */
export interface ToldElsewhere {
  incident: string;
  disclosure: string;
  agency: string;
  service: Service;
  version: number;
  supersedes: string | null;
}

/** Something an operator wants the vehicle to get. */
export interface Answer {
  answer: string;
  action: AnswerAction;
  /** The channel that took it to the vehicle; null while it waits. */
  delivered: string | null;
}

/** What a vehicle can be told or asked (RFC 8147 14.4: `ack`, `send-data`; RFC 8148 9: `msg-dynamic`). */
export type AnswerAction = "ack" | "requestData" | "callBack" | "message" | "clearDown";

/** A place that somebody says, beside the one in force. */
export interface HeardPlace {
  /** `caller` or `agency`. */
  source: string;
  how: string;
  /** Whether our data know where that is. */
  found: boolean;
}

/** A place that is not where it was: what an operator has to look at. */
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
  /** A newer brief has been decided for the same agency, so nothing is waited for here. */
  superseded: boolean;
  reached: Acknowledgement | null;
  /** Reason code of the agency, when it refused. */
  rejected: string | null;
  attempts: number;
  status: AgencyStatus | null;
  /** The last rung of the ladder that was taken. */
  rung: Rung | null;
  /** Which line that rung calls: `first`, `second` or `joint`. */
  line: string | null;
  /** The operator has to dial that line: the house has no telephone of its own for it. */
  by_hand: boolean;
  /** How often people have been alarmed because nobody there answers. */
  alarms: number;
  /** Whom the ladder proposes to tell as well; only the operator decides. */
  proposed: readonly string[];
  calls: readonly AgencyCall[];
  /** What the agency has asked back last. */
  asked: Question | null;
  /** No person decided it: nobody of ours was there. */
  unattended: boolean;
  /** The agency was told of a place that holds no longer, and has not been told of the new one. */
  elsewhere: boolean;
  /** With which other incidents its brief says that this is one crash. */
  joined: readonly string[];
  /** Which place (`Incident.place_version`) somebody there has read back and had right; null: none. */
  read_back: number | null;
  /** The agency was told of another kind of emergency, and has not been told of the one that holds now. */
  otherwise: boolean;
  /** Of which its brief holds something. */
  categories: readonly Category[];
  /** Something has been answered on the call since, in one of these categories, and the agency has not been told. */
  unheard: boolean;
}

/** How far a disclosure got. Only the last two stop the ladder: a 2xx answer is not a human being. */
export const ACKNOWLEDGEMENTS = ["transport", "delivered", "heard", "taken_over"] as const;
export type Acknowledgement = (typeof ACKNOWLEDGEMENTS)[number];

export type AgencyStatus = "dispatched" | "on_scene" | "closed";

/** How loudly an agency is being told; `sos.dispatch.ladder` says which follows which, and when. */
export type Rung = "push" | "first_line" | "second_line" | "joint_centre" | "others" | "supervisor" | "heard" | "refused";

/** A telephone call to an agency. That it was answered is in the legs; a call by hand has no leg. */
export interface AgencyCall {
  leg: string;
  line: string;
  /** How it ended: `no_answer`, `busy`, `machine`, `failed`, `ended` ...; null while it lasts. */
  outcome: string | null;
}

/** What an agency may ask back. */
export type Question = "call_me" | "where" | "how_many_hurt" | "which_vehicle" | "other";

/** What the person said last when asked whether somebody may be told. */
export interface ConsentGiven {
  answer: ConsentAnswer;
  /** What was agreed to. */
  categories: readonly Category[];
  /** Whom the person named; empty: whoever helps. */
  agencies: readonly string[];
}

export type ConsentAnswer = "agreed" | "refused";

/** A request to tell an agency that a supervisor has to decide. */
export interface Referral {
  referral: string;
  agency: string;
  /** The reason it was asked for (`routing.law.Path`): the answer holds for that one. */
  path: string;
  approved: boolean | null;
  supervisor: string | null;
  /** What the supervisor takes to be so (`routing.law.Fact`). */
  facts: readonly string[];
}

export interface Alarm {
  alarm: string;
  why: AlarmKind;
  /** The disclosure, referral, recording, reader or operator that it is about; or a reason code. */
  about: string;
  raised_at: string;
  /** null: it has reached no desk yet. */
  audience: Audience | null;
  /** Who of them had a desk when it went out. */
  supervisors: readonly string[];
  /** Who has acknowledged it; null while it stands. */
  operator: string | null;
  acknowledged_at: string | null;
}

/** What somebody of ours must hear of. */
export type AlarmKind = "unanswered" | "no_voice" | "no_response" | "undecided" | "place_unknown" | "handoff_overdue" | "ladder" | "unclosed" | "referral" | "untold" | "told_unattended" | "recording" | "set_aside" | "assist" | "handover" | "owed" | "guessing";

/** At which desks an alarm stands. */
export type Audience = "supervisors" | "everybody";

export interface Leg {
  leg: string;
  party: Party;
  /** Operator id, agency id, or `vehicle`. */
  who: string;
  up: boolean;
  ringing: boolean;
  held: boolean;
  muted: boolean;
  /** The one leg that hears this one. */
  coaching: string | null;
  /** It telephoned us, known by the number it shows alone: a person may tell it something, no machine. */
  called_in: boolean;
  /** Held while this outside party is called, and let go by itself when that leg ends. */
  held_for: string | null;
  /** Why it is gone; null while it is up or on its way. */
  left: string | null;
  /** What it has been told by the machine. */
  notices: readonly string[];
  /** Whose briefs have been read to it by the machine, each time it was. */
  briefs: readonly string[];
}

export type Party = "vehicle" | "operator" | "agency" | "supervisor" | "interpreter";

export interface Recording {
  recording: string;
  sealed: boolean;
  failed: boolean;
}

export const DISPOSITIONS = ["handed_over", "no_help_needed", "false_alarm", "misuse", "abandoned", "duplicate", "test", "drill"] as const;
export type Disposition = (typeof DISPOSITIONS)[number];

/** Nothing is destroyed while it stands; it ends only by its own id. */
export interface Hold {
  hold: string;
  ground: HoldGround;
  by: string;
  at: string;
}

/** Why something is kept beyond its time. */
export type HoldGround = "litigation" | "inquiry" | "dispute" | "request" | "audit";

/** One thing that happened. `data` holds the event's fields; fields at their default are missing. */
export interface EventFrame {
  t: "event";
  position: number | null;
  incident: string;
  tenant: string;
  id: string;
  n: number;
  kind: string;
  at: string;
  actor: string;
  data: Readonly<Record<string, unknown>>;
}

export interface Parts {
  t: "parts";
  incident: string;
  items: readonly PartsItem[];
  /** Categories of which something should be here and cannot be opened: `lost` or `damaged`. */
  unreadable: Readonly<Record<string, Shut>>;
}

/** Personal data of one event, by category. Served only after `open`, which the journal has as an access. */
export interface PartsItem {
  event: string;
  kind: string;
  n: number;
  at: string;
  actor: string;
  parts: Readonly<Record<string, unknown>>;
}

/** Why something cannot be opened. Three different things, and none of them is «withheld». */
export type Shut = "destroyed" | "lost" | "damaged";

/** A report that came in while the database was away: safe on disk, and an incident as soon as it is back. */
export interface Degraded {
  t: "degraded";
  incident: string;
  received_at: string;
  trigger: Trigger;
  mode: Mode;
  report: ReportKnown;
}

export interface ReportKnown {
  location: Location;
  vehicle: Vehicle;
  crash: Crash;
  call_back: CallBack;
}

/** The LOC part. `latitude` and `longitude` are both known and possible, or both null. */
export interface Location {
  latitude?: number;
  longitude?: number;
  /** Degrees clockwise from north. */
  heading?: number;
  /** Metres, radius, as the sender states it. */
  horizontalAccuracy?: number;
  /** EN 15722 positionCanBeTrusted: within 150 m at 95 % confidence. */
  trusted?: boolean;
  timestamp?: string;
  recent?: readonly Fix[];
  /** The position as sent, when it is impossible: kept so that a person may make sense of it. */
  reported?: string;
}

/** A position the vehicle had `age_seconds` before the incident. */
export interface Fix {
  latitude: number;
  longitude: number;
  ageSeconds?: number;
}

/** The VEH part. */
export interface Vehicle {
  /** `vin` (ISO 3779), `jp_frame` (車台番号) or `oem_id`. */
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

/** The SEV part. */
export interface Crash {
  eventTime?: string;
  impact?: string;
  /** km/h, forward positive. */
  deltaVX?: number;
  /** km/h, to the right positive. */
  deltaVY?: number;
  /** km/h: its length, where the sender tells no direction. */
  deltaV?: number;
  /** km/h: what the sensor can measure; a component that reaches it may have been more. */
  deltaVLimit?: number;
  principalDirectionClock?: number;
  multipleImpacts?: boolean;
  rollover?: string;
  airbagDeployed?: boolean;
  /** km/h. */
  speedBefore?: number;
  fire?: boolean;
  submersed?: boolean;
  fuelLeak?: boolean;
  /** Somebody cannot get out. */
  trapped?: boolean;
  /** Somebody was thrown out. */
  ejected?: boolean;
  /** Somebody outside was hit. */
  pedestrian?: boolean;
  /** The sender's own verdict (RFC 8148 SevereInjuryIndicator), never ours and never mixed with it. */
  severeInjury?: boolean;
  /** Free text of the sender, such as a police record's own words. */
  summary?: string;
}

/** The TEL part. */
export interface CallBack {
  /** E.164. */
  tel?: string;
  /** BCP 47. */
  language?: string;
}

/** The journal knows now what `Degraded` told of. */
export interface Recorded {
  t: "recorded";
  incident: string;
}

/** Ten times a second while somebody is in the call: how loud each leg is, and whether somebody speaks there. */
export interface Levels {
  t: "levels";
  incident: string;
  /** Mean and peak loudness, dBov (0 to -127); whether somebody speaks, as far as loudness tells. */
  legs: Readonly<Record<string, readonly [rms: number, peak: number, speaking?: boolean]>>;
}

/** All that a machine has written down of this call lately; no record. */
export interface Transcript {
  t: "transcript";
  incident: string;
  machine: boolean;
  lines: readonly TranscriptLine[];
}

/** Something that was said, as a machine wrote it down. Never a record: the recording is. */
export interface TranscriptLine {
  /** Counts the lines of one incident from 1. */
  n: number;
  party: string;
  leg: string;
  /** When it was said, RFC 3339. */
  at: string;
  /** Empty: the machine was not in time for it, or could not read it. */
  text: string;
}

/** The one answer to an order. */
export interface Reply {
  t: "reply";
  /** The order's number; 0 where it had none that could be read. */
  id: number;
  ok: boolean;
  result: unknown;
  error: Fault | null;
}

export interface Fault {
  type: string;
  title: string;
  detail: string;
  /** Of the sentence (`sos.console.refusals`); empty where it has none. */
  code: string;
  /** Japanese and English, for the operator. */
  words: readonly [string, string];
}

export interface HealthTold {
  t: "health";
  items: Readonly<Record<string, Health>>;
  waiting: number;
}

export type Health = "ok" | "degraded" | "down" | "failed";

/** All mass events that stand. */
export interface MassEventsTold {
  t: "mass_events";
  /** How often a supervisor has decided about one: whoever decides next says what they had seen. */
  decisions: number;
  renewed_after_h: number;
  /** At which desks it is an alarm; null while nothing has to be decided. */
  audience: Audience | null;
  events: readonly MassEventTold[];
}

export interface MassEventTold {
  mass_event: string;
  /** false: the house proposes it. */
  in_force: boolean;
  name: string;
  words: string;
  since: string;
  operator: string | null;
  until: string | null;
  overdue: boolean;
  area: Area;
  /** Of its codes, Japanese and English. */
  area_names: readonly (readonly [string, string])[];
  emergencies: number;
  tenants: number;
  within_s: number;
  /** Incidents inside that nobody has answered. */
  waiting: number;
  /** Incidents of which a telling is held. */
  held: number;
  tellings: readonly MassTellingTold[];
}

/** Where a mass event is: within a circle, or in prefectures (ISO 3166-2) and municipalities (five digits). */
export interface Area {
  latitude?: number;
  longitude?: number;
  radius_km?: number;
  codes?: readonly string[];
}

/** How one agency is told of one place without a person. */
export interface MassTellingTold {
  agency: string;
  place: string;
  /** Japanese and English. */
  place_name: readonly [string, string];
  asked_at: string;
  /** null: a supervisor has to say. */
  how: HowToTell | null;
  every_min: number;
  operator: string | null;
  held: number;
}

/** What a supervisor wants done where the house has told one agency much of one place without a person. */
export type HowToTell = "each" | "list" | "hold";

/** The desk is worked at in this window, or in another one, from now on. */
export interface Seat {
  t: "seat";
  active: boolean;
}

/** The log-in is over: nothing more comes, and no order is taken. */
export interface Ended {
  t: "ended";
  why: string;
}

/** The answer to a beat of the page's. */
export interface Beat {
  t: "beat";
}

/** What somebody of ours opens an incident for. */
export type Purpose = "offered" | "emergency_handling" | "supervision" | "review" | "request" | "person" | "fault";

export type MedicalSource = "person" | "family" | "bystander" | "medical_staff";

/** Why somebody whom the plan names is not told. */
export type DeclineReason = "not_needed" | "false_alarm" | "already_there" | "declined" | "duplicate" | "nobody_to_help" | "law" | "other";

export type SaidHow = "words" | "address" | "road";

/** What the one who asks takes as the reason. Each is a workflow of its own: rows of one never serve another. */
export type Path = "agreed" | "life_protection" | "third_party" | "mass_event" | "refused" | "public_task" | "property" | "inquiry" | "court_order" | "oral_request" | "family_enquiry" | "hazard_removal" | "commercial" | "carrier_request" | "emergency_use" | "acquire_medical" | "transfer";

/** What must hold, or must not, beside the two limbs. Each is a tick that somebody answers for. */
export type Fact = "person_agrees" | "capacity_in_doubt" | "incapable_of_consent" | "third_party_in_danger" | "traffic_in_danger" | "customer_data_needed" | "mass_event" | "asking_all_unreasonable" | "medically_useful" | "needed_to_identify" | "plate_needed" | "supervisor_approved" | "reason_written" | "public_body_asks" | "statutory_task_stated" | "asking_obstructs_task" | "call_back_verified" | "consent_attempted" | "document_on_file" | "two_person_approval" | "legal_sign_off" | "relation_plausible" | "consent_on_file" | "entrusted" | "carrier_data" | "rescue_body_requests" | "grave_danger_imminent" | "location_indispensable" | "recipient_abroad" | "country_whitelisted" | "equivalent_measures" | "told_of_country" | "no_other_basis" | "adequacy_decision" | "user_call" | "acn_trigger" | "good_faith" | "risk_of_death" | "express_authorisation";

/** Why an incident goes from one operator to another. */
export type TakeoverReason = "no_voice" | "asked" | "language" | "supervision" | "handover";

export type Revealable = "MED" | "FAM";

/** Recipient classes of the rule table: what a law says about a body depends on what it is, not on its name. */
export type Recipient = "FIRE" | "POL" | "MED" | "HOSP" | "HELI" | "JCG" | "DHQ" | "FAM" | "RSA" | "INS" | "OEM" | "INV" | "CRT" | "CTR" | "ROAD";

export type AskedBy = "telephone" | "letter" | "mail" | "in_person";

/** Why somebody outside is given nothing. */
export type RefusalReason = "no_ground" | "not_verified" | "no_document" | "too_wide" | "person_objects" | "not_held" | "withdrawn" | "other";

/** What an operator may have a leg told. */
export type Notice = "silent" | "joining" | "hold" | "wait";

/** How somebody in the vehicle answered. */
export type ResponseHow = "speech" | "sounds" | "keys";

/** Why an operator waits longer for an answer. */
export type WaitReason = "line" | "sounds" | "language" | "others";

/** The LOC part of a described place: what stands there by the geocoder's word, unverified. */
export interface NamedPlace {
  address: string;
  addressDistanceM: number;
}

/** The LOC part of a place that an operator states. */
export interface StatedPlace {
  latitude?: number;
  longitude?: number;
  horizontalAccuracy?: number;
  /** In the caller's words: address, road with kilometre post and direction, what can be seen. */
  stated?: string;
  /** What found it: `posts`, `geocoder`, `towns` or `municipality`; empty: nobody, or a person's pin. */
  by?: string;
  /** Of the road or the area that was recognised. */
  name?: string;
}

/** Something that is owed, as a desk's queue shows it. */
export interface Due {
  incident: string;
  obligation: string;
  about: string;
  due_at: string;
  late: number;
  who: string;
  outcomes: readonly string[];
}

/** A request that nobody has answered or refused, as a desk's list shows it: nobody's name is in it. */
export interface OpenRequest {
  incident: string;
  request: string;
  recipient: Recipient;
  path: Path;
  scope: readonly Category[];
  provision: boolean;
  document: boolean;
  checked: readonly Fact[];
  approved: readonly string[];
  /** Two different people agree, a supervisor among them. */
  agreed: boolean;
  needs_two: boolean;
  /** Of the last time the law was asked; empty: it has not been. */
  outcome: string;
  received_at: string;
  due_at: string;
  late: number;
}

/** Something that was revealed, with when it came and from whom. */
export interface Shown {
  at: string;
  actor: string;
  text: string;
  fields: Readonly<Record<string, string>>;
}

export interface CrashView {
  crash_id: string;
  number: string;
  vehicles: number;
  /** In all vehicles of which it is known. */
  occupants: number | null;
  /** Vehicles of which nobody knows how many are in them. */
  unknown: number;
  cars: readonly CarOfCrash[];
}

export interface CarOfCrash {
  incident: string;
  tenant: string;
  share: Share;
  state: State;
  trigger: Trigger;
  operator: string | null;
  disposition: Disposition | null;
  /** false: what is known of the car is not shown, since its incident is closed. */
  opened: boolean;
  occupants: number | null;
  hazards: readonly string[];
  /** The sender's verdict. */
  severe: boolean | null;
  latitude: number | null;
  longitude: number | null;
  accuracy_m: number | null;
  trusted: boolean | null;
  place: string;
  look: string;
  told: readonly ToldOfCar[];
}

/** One brief that an agency was sent of one car. */
export interface ToldOfCar {
  agency: string;
  service: Service;
  disclosure: string;
  version: number;
  at: string;
  /** Who decided: `operator:<id>`, or a part of the house. */
  by: string;
  superseded: boolean;
  reached: Acknowledgement | null;
  rejected: string | null;
  /** Whether the agency knows the crash as it is now, by this brief or another. */
  knows: boolean;
}

export interface EarlierCalls {
  /** The newest first. */
  calls: readonly EarlierCall[];
  /** Until when it is said that the button was misused; null: it is not said. */
  misused_until: string | null;
}

export interface EarlierCall {
  incident: string;
  at: string;
  mode: Mode;
  trigger: Trigger;
  state: State;
  disposition: Disposition | null;
}

export interface SearchResult {
  /** The newest first. */
  incidents: readonly FoundIncident[];
  /** There are others, which are not shown. */
  more: boolean;
}

/** An incident as a search shows it. */
export interface FoundIncident {
  incident: string;
  tenant: string;
  at: string;
  mode: Mode;
  trigger: Trigger;
  state: State;
  disposition: Disposition | null;
  prefecture: string | null;
  /**
   * Address, municipality or what was said; empty where none is known, or where it may not be shown for this purpose.
   */
  place: string;
  vehicle: string;
  plate: string;
}

/** Why a brief is read to an agency by machine. */
export type Telling = "alone" | "asked" | "again";

/** One category of an incident that has had its time. */
export interface Disposed {
  category: Category;
  /** The retention class that held. */
  tag: string;
  /** Of the table, and of the brand's own where it was changed. */
  version: string;
  started_at: string;
  due_at: string;
  /** What its data keys were wrapped under. */
  keks: readonly string[];
}

/** What the service tells. */
export type FromServer =
  | Welcome
  | Snapshot
  | EventFrame
  | Parts
  | Degraded
  | Recorded
  | Levels
  | Transcript
  | Reply
  | HealthTold
  | MassEventsTold
  | Seat
  | Ended
  | Beat;

/** What a desk asks for; its number is put to it by `socket.ts`. */
export type Order =
  | { do: "ready" }
  | { do: "away" }
  | { do: "beat"; touched?: boolean | null }
  | { do: "answer"; incident?: string | null }
  | { do: "open"; incident: string; purpose: Purpose; reason?: string }
  | { do: "refresh"; incident: string }
  | { do: "history"; incident: string }
  | { do: "find"; purpose: Purpose; reason?: string; plate?: string; phone?: string; vin?: string; place?: string; since?: string; until?: string }
  | { do: "note"; incident: string; category?: Category; text: string }
  | { do: "kind"; incident: string; kind: EmergencyKind }
  | { do: "card"; incident: string; question: string; value: string | number; source?: MedicalSource | null }
  | { do: "language"; incident: string; language: string }
  | { do: "tell_vehicle"; incident: string; action: AnswerAction; text?: string }
  | { do: "close"; incident: string; disposition: Disposition; untold?: DeclineReason | null; words?: string }
  | { do: "reopen"; incident: string; reason: string }
  | { do: "move"; incident: string; adopted: boolean }
  | { do: "place"; incident: string; text?: string; latitude?: number | null; longitude?: number | null }
  | { do: "say_place"; incident: string; how: SaidHow; text?: string; road?: string; km?: number | null; direction?: string }
  | { do: "settle_heard"; incident: string; adopted: boolean }
  | { do: "read_back"; incident: string; how?: SaidHow; text?: string; road?: string; km?: number | null; direction?: string; disclosure: string; version: number; agreed: boolean; with_code: boolean }
  | { do: "match"; incident: string; other: string; relation: Relation; approved: boolean }
  | { do: "link"; incident: string; other: string; share: Share }
  | { do: "unlink"; incident: string }
  | { do: "crash"; incident: string; anew: boolean }
  | { do: "earlier"; incident: string }
  | { do: "disclose"; incident: string; agency: string; path?: Path | null; necessity?: string; consent?: string; facts?: readonly Fact[]; reason?: string; update?: boolean; confirmed?: boolean }
  | { do: "decline"; incident: string; services: readonly Service[]; reason: DeclineReason; words: string }
  | { do: "consent"; incident: string; answer: ConsentAnswer; categories?: readonly Category[]; agency?: string | null }
  | { do: "approve"; incident: string; referral: string; approved: boolean; facts?: readonly Fact[]; reason?: string }
  | { do: "agency_said"; incident: string; disclosure: string; said: string; text?: string }
  | { do: "acknowledge"; incident: string; alarm: string }
  | { do: "assist"; incident: string; text?: string }
  | { do: "take_over"; incident: string; holder: string; reason: TakeoverReason }
  | { do: "hand_over"; incident: string; to: string; note?: string }
  | { do: "answer_handover"; incident: string; accepted: boolean }
  | { do: "end_shift"; to: string; note?: string }
  | { do: "declare_mass_event"; seen: number; name: string; words?: string; hours: number; latitude?: number | null; longitude?: number | null; radius_km?: number; codes?: readonly string[]; mass_event?: string | null }
  | { do: "change_mass_event"; seen: number; name: string; words?: string; hours: number; latitude?: number | null; longitude?: number | null; radius_km?: number; codes?: readonly string[]; mass_event: string }
  | { do: "end_mass_event"; mass_event: string; seen: number; words?: string }
  | { do: "dismiss_mass_event"; mass_event: string; seen: number; words?: string }
  | { do: "answer_mass_telling"; mass_event: string; agency: string; place: string; was?: HowToTell | null; how: HowToTell; every_min?: number }
  | { do: "reveal"; incident: string; category: Revealable; purpose: Purpose; reason?: string }
  | { do: "medical"; incident: string; text: string; source: MedicalSource; consent?: string }
  | { do: "owed" }
  | { do: "meet"; incident: string; obligation: string; about: string; outcome: string; words: string }
  | { do: "request"; incident: string; recipient: Recipient; path: Path; scope: readonly Category[]; issuer: string; person: string; call_back: string; provision?: string; reference?: string; document?: string; country?: string; channel: AskedBy; words?: string }
  | { do: "check_request"; incident: string; request: string; fact: Fact; words: string }
  | { do: "approve_request"; incident: string; request: string }
  | { do: "answer_request"; incident: string; request: string }
  | { do: "release"; incident: string; request: string; purpose: Purpose; reason: string }
  | { do: "requests" }
  | { do: "read_request"; incident: string; request: string }
  | { do: "refuse_request"; incident: string; request: string; reason: RefusalReason; words: string }
  | { do: "mode"; incident: string; leg: string; held: boolean; muted: boolean; coaching?: string | null }
  | { do: "invite"; incident: string; agency: string }
  | { do: "dial"; incident: string; agency: string; line: string }
  | { do: "call_vehicle"; incident: string }
  | { do: "notice"; incident: string; leg: string; notice: Notice }
  | { do: "speak_brief"; incident: string; leg: string }
  | { do: "end_leg"; incident: string; leg: string }
  | { do: "leave_call"; incident: string }
  | { do: "answered"; incident: string; how: ResponseHow }
  | { do: "wait_longer"; incident: string; seconds: number; because: WaitReason }
  | { do: "interpreter"; incident: string; language?: string }
  | { do: "about_code"; incident: string; code: string };

/** The fields of each kind of event; those at their default are not sent. */
export interface Events {
  IncidentOpened: { mode: Mode; trigger: Trigger; format: string; report_digest: string; report_bytes: number; readable: boolean; findings?: readonly string[]; channel?: string };
  ReportFiled: { sequence: number; located: boolean; findings?: readonly string[]; report_digest?: string; urgent?: readonly string[]; kind?: EmergencyKind; kind_because?: string };
  CardAnswered: { question: string; category: Category; operator: string; urgent?: readonly string[]; needs?: readonly Service[]; source?: string; rule?: string; ground?: string; law_version?: string; rules?: string; necessity?: string; consent?: string; obligations?: readonly string[] };
  LanguageStated: { operator: string };
  KindStated: { kind: EmergencyKind };
  ReportJoined: { reason: string; format: string; report_digest: string; report_bytes: number; readable: boolean; findings?: readonly string[]; trigger?: Trigger };
  CancelReceived: { reason: string; format: string; report_digest: string; report_bytes: number };
  MatchProposed: { other: string; relation: Relation; reasons: readonly string[]; distance_m?: number; apart_s?: number };
  MatchConfirmed: { other: string; relation: Relation; reasons?: readonly string[] };
  MatchUndone: { other: string; relation: Relation };
  IncidentsLinked: { crash_id: string; number: string; cars: readonly Car[]; told?: readonly ToldElsewhere[] };
  IncidentsUnlinked: { crash_id: string; number: string };
  LinkedTold: { incident: string; disclosure: string; agency: string; service: Service; version?: number; supersedes?: string };
  ReceiptIssued: { passed: boolean; checks: readonly (readonly [string, boolean])[] };
  AnswerGiven: { answer: string; action: AnswerAction };
  AnswerDelivered: { answer: string; channel: string };
  PlanMade: { prefecture: string | null; services: readonly Service[]; agencies: readonly string[]; reasons: readonly string[]; flags: readonly string[]; border_m?: number; datasets?: readonly string[]; source?: string; moved_m?: number; kind?: EmergencyKind; same_place?: boolean };
  MoveNoticed: { distance_m: number };
  MoveSettled: { adopted: boolean };
  PlaceStated: { how: string; located: boolean };
  PlaceHeard: { source: string; how: string; found: boolean; disclosure?: string };
  HeardPlaceSettled: { operator: string; adopted: boolean };
  PlaceReadBack: { disclosure: string; agency: string; operator: string; version: number; agreed: boolean; with_code: boolean; leg?: string };
  PlaceDescribed: { source: string; distance_m: number };
  DeskOffered: { desks: readonly string[]; round: number };
  OperatorAssigned: { operator: string; desk: string; taken_from?: string; reason?: TakeoverReason };
  OperatorLost: { operator: string; reason: string };
  HandoverOffered: { operator: string; to: string };
  HandoverEnded: { operator: string };
  LegInvited: { leg: string; party: Party; who: string; called_in?: boolean };
  LegDialled: { leg: string; party: Party; who: string; line: string; held?: boolean };
  LegRinging: { leg: string };
  LegModeSet: { leg: string; held: boolean; muted: boolean; coaching?: string; while_called?: string };
  LegTransferred: { leg: string; to: string; as_leg: string };
  KeysPressed: { leg: string; keys: string };
  NoticePlayed: { leg: string; notice: string };
  BriefSpoken: { leg: string; disclosure: string; voice: string; why: Telling; by_keys?: boolean };
  LegJoined: { leg: string; party: Party; who: string };
  LegLeft: { leg: string; reason: string };
  RecordingStarted: { recording: string };
  RecordingSealed: { recording: string; manifest_digest: string; chunks: number; duration_ms: number };
  RecordingFailed: { recording: string; reason: string };
  RecordingFetched: { recording: string; leg: string; copy: string; digest: string; size: number };
  ProviderCopyDeleted: { recording: string; copy: string };
  LegQueued: { leg: string; queued_ms: number };
  NoteAdded: { category: Category };
  MedicalTaken: { source: string; rule?: string; ground?: string; law_version?: string; rules?: string; necessity?: string; consent?: string; obligations?: readonly string[] };
  ConsentRecorded: { answer: ConsentAnswer; categories?: readonly Category[]; agencies?: readonly string[]; audio_ms?: number };
  DisclosureReferred: { referral: string; agency: string; rule: string; path: string; necessity: string; consent: string };
  ReferralAnswered: { referral: string; supervisor: string; approved: boolean; facts?: readonly string[] };
  DisclosureDecided: { disclosure: string; agency: string; service: Service; rule: string; ground: string; law_version: string; clause: string; necessity: string; consent: string; opt_out_overridden: boolean; categories: readonly Category[]; withheld: readonly Category[]; path?: string; facts?: readonly string[]; grounds?: readonly string[]; rules?: string; opt_out_clause?: string; review?: boolean; obligations?: readonly string[]; referral?: string; supervisor?: string; supersedes?: string; brief_version?: number; unattended?: boolean; corrected?: boolean; forms?: readonly (readonly [string, string])[]; without?: readonly string[]; heard?: number; joined?: readonly string[]; again?: readonly string[]; maybe?: readonly string[] };
  TellingReasoned: { disclosure: string };
  DisclosureRefused: { agency: string; rule: string; outcome: string; path: string; necessity: string; consent: string; tried: readonly (readonly [string, string])[] };
  ObligationDue: { obligation: string; about: string; late: number };
  ObligationMet: { obligation: string; about: string; outcome: string; operator: string };
  RequestReceived: { request: string; recipient: Recipient; path: Path; scope: readonly Category[]; provision: boolean; document: string; country: string; channel: string; by: string };
  RequestChecked: { request: string; fact: Fact; by: string };
  RequestApproved: { request: string; by: string; supervises?: boolean };
  RequestAnswered: { request: string; outcome: string; recipient: Recipient; rule: string; ground: string; grounds: readonly string[]; law_version: string; rules: string; clause: string; categories: readonly Category[]; withheld: readonly Category[]; without: readonly string[]; statements: readonly string[]; facts: readonly string[]; tried: readonly (readonly [string, string])[]; obligations: readonly string[]; digest: string; by: string };
  RequestRefused: { request: string; reason: RefusalReason; by: string };
  RequestOverdue: { request: string; late: number };
  TellingWithheld: { reason: string; agency?: string; rule?: string; outcome?: string };
  PlacedInMassEvent: { mass_event?: string; place?: string };
  TellingHeld: { agency: string };
  TellingDeclined: { operator: string; services: readonly Service[]; reason: DeclineReason };
  SearchLimited: { nobody_after_ms: number };
  ResponseHeard: { operator: string; how: ResponseHow };
  ResponseAwaited: { operator: string; seconds: number; reason: WaitReason };
  DeliveryStarted: { disclosure: string; channel: string; attempt: number };
  DeliveryConfirmed: { disclosure: string; level: Acknowledgement; receipt: string };
  DeliveryFailed: { disclosure: string; attempt: number; reason: string };
  AgencyAcknowledged: { disclosure: string; level: Acknowledgement };
  AgencyRejected: { disclosure: string; reason: string };
  RungTaken: { disclosure: string; number: number; rung: Rung; reason: string; line?: string; by_hand?: boolean; proposed?: readonly string[]; elapsed_ms: number; next_after_ms: number | null };
  AgencyCallRequested: { disclosure: string; agency: string; line: string; leg: string };
  AgencyCallEnded: { disclosure: string; leg: string; outcome: string };
  AgencyAsked: { disclosure: string; question: Question };
  HandoffCompleted: object;
  AgencyReported: { disclosure: string; status: AgencyStatus };
  PartsRead: { reader: string; categories: readonly Category[]; purpose: string };
  HelpEscalated: { rung: string };
  AlarmRaised: { alarm: string; why: AlarmKind; about?: string };
  AlarmShown: { alarm: string; audience: Audience; supervisors?: readonly string[] };
  AlarmAcknowledged: { alarm: string; operator: string };
  IncidentClosed: { disposition: Disposition; retention: readonly (readonly [Category, string])[] };
  IncidentReopened: object;
  HoldPlaced: { hold: string; ground: HoldGround; by: string };
  HoldReleased: { hold: string; by: string };
  DataDestroyed: { disposal: string; listed: string; disposed: readonly Disposed[]; approved: readonly string[] };
  ExportMade: { export: string; categories: readonly Category[] };
  VehicleRecognised: { flags: readonly string[]; pack: string; entitlement: string; opt_out: boolean; profiling: boolean; call_back_window_s: number; record?: string; holder?: string; clauses?: readonly string[] };
  RegisteredDataCopied: { holder: string; categories: readonly Category[]; withheld: readonly Category[]; rule: string; ground: string; law_version: string; rules: string; necessity: string; consent: string; facts?: readonly string[]; grounds?: readonly string[]; obligations?: readonly string[] };
  SeverityJudged: { judged_by: string; coefficients: string; scored: boolean; report: number; severe?: boolean };
}

/** What of an event changes an incident. */
export type Happened = Pick<EventFrame, "n" | "kind" | "at" | "actor" | "data">;
