/**
 * The frames between this page and `/console/socket`, as types.  One JSON object per text frame.
 * Names inside incidents and events are the server's own (snake_case); names inside parts are camelCase.
 */

export type Mode = "live" | "test" | "drill";
export type Trigger = "automatic" | "manual" | "unknown";
export type State = "received" | "ringing" | "in_call" | "handing_over" | "handed_over" | "closed" | "reopened";
export type Service = "fire" | "police" | "ambulance" | "marine";
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

export const NECESSITIES = ["automatic_crash", "call_for_help", "silence_after_crash", "sounds"] as const;
export type Necessity = (typeof NECESSITIES)[number];

export const CONSENTS = ["no_answer", "unintelligible", "unconscious", "minor", "delay"] as const;
export type Consent = (typeof CONSENTS)[number];

export interface Leg {
  leg: string;
  party: Party;
  who: string;
  up: boolean;
}

export interface Recording {
  recording: string;
  sealed: boolean;
  failed: boolean;
}

export interface Disclosure {
  disclosure: string;
  agency: string;
  service: Service;
  reached: Acknowledgement | null;
  rejected: string | null;
  attempts: number;
  status: "dispatched" | "on_scene" | "closed" | null;
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
  planned: boolean;
  located: boolean | null;
  prefecture: string | null;
  agencies: readonly string[];
  disclosures: readonly Disclosure[];
  legs: readonly Leg[];
  recordings: readonly Recording[];
  flags: readonly string[];
  passed: readonly string[];
  disposition: Disposition | null;
  read_by: readonly (readonly [string, readonly string[]])[];
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

export interface Place {
  latitude?: number;
  longitude?: number;
  prefectureName?: string;
  borderDistanceM?: number;
  runnerUp?: string;
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
  principalDirectionClock?: number;
  multipleImpacts?: boolean;
  rollover?: string;
  airbagDeployed?: boolean;
  speedBefore?: number;
  fire?: boolean;
  submersed?: boolean;
  summary?: string;
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
  operator: { id: string; name: string };
  desk: string;
  now: string;
  demo: boolean;
  agencies: Readonly<Record<string, Agency>>;
  languages: readonly string[];
  /** Changes with every start of the server; when it does, voice legs are offered again at once. */
  boot?: string;
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
  | { t: "parts"; incident: string; items: PartsItem[] }
  | Degraded
  | { t: "recorded"; incident: string }
  | { t: "reply"; id: number; ok: true; result?: unknown }
  | { t: "reply"; id: number; ok: false; error: Fault }
  | { t: "health"; items: Readonly<Record<string, Health>>; waiting: number }
  | { t: "beat" };

export type Order =
  | { do: "ready" }
  | { do: "away" }
  | { do: "answer"; incident?: string }
  | { do: "open"; incident: string }
  | { do: "note"; incident: string; category: "OBS" | "PER" | "FAM" | "TEL"; text: string }
  | { do: "disclose"; incident: string; agency: string; necessity: Necessity; consent: Consent }
  | { do: "close"; incident: string; disposition: Disposition }
  | { do: "reopen"; incident: string; reason: string }
  | { do: "history"; incident: string }
  | { do: "beat" };
