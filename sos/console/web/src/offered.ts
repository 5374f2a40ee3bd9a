/** What the page offers an operator to choose from: less than the service understands, in the order in which it is shown. */

import type { AlarmKind, Category, DeclineReason, EmergencyKind, Fact, MedicalSource, Path as RequestPath, Purpose, Recipient, RefusalReason, TakeoverReason } from "./protocol";

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
  facts?: readonly Fact[];
  reason?: string;
  /** A newer brief for an agency that was told before. */
  update?: boolean;
  confirmed?: boolean;
}

/** What an operator can record that an agency said on the telephone. */
export const AGENCY_SAID = ["heard", "taken_over", "dispatched", "not_our_area", "no_unit_free", "withdrawn"] as const;
export type AgencySaid = (typeof AGENCY_SAID)[number];

/** Why an operator takes an incident from another. */
export const TAKEOVER_REASONS = ["no_voice", "asked", "language", "supervision"] as const satisfies readonly TakeoverReason[];

/** Alarms in the order in which they are shown: first behind what somebody may be waiting for help. */
export const ALARM_KINDS = [
  "no_voice",
  "unanswered",
  "assist",
  "handover",
  "no_response",
  "untold",
  "told_unattended",
  "ladder",
  "handoff_overdue",
  "referral",
  "place_unknown",
  "undecided",
  "recording",
  "set_aside",
  "owed",
  "guessing",
  "unclosed",
] as const satisfies readonly AlarmKind[];
/** What a closed incident is opened for (`sos/incident/access.py`). */
export const PURPOSES = ["review", "request", "person", "fault"] as const satisfies readonly Purpose[];

/** What a person hears or sees and writes down; of somebody's health it is written down who says so. */
export const NOTE_CATEGORIES = ["OBS", "PER", "TEL", "FAM", "VEH", "LOC", "SEV", "OWN"] as const satisfies readonly Category[];
export type NoteCategory = (typeof NOTE_CATEGORIES)[number];
export const MEDICAL_SOURCES = ["person", "family", "bystander", "medical_staff"] as const satisfies readonly MedicalSource[];

/** What a person can say that has happened, in the order of their keys; that nobody knows is no answer. */
export const KINDS = [
  "crash",
  "illness",
  "fire",
  "crime",
  "breakdown",
  "disaster",
  "other",
] as const satisfies readonly EmergencyKind[];

/** Who asks from outside, and as what: each is a workflow of the law of its own. */
export const REQUEST_KINDS = [
  { recipient: "INV", path: "inquiry" },
  { recipient: "CRT", path: "court_order" },
  { recipient: "FAM", path: "family_enquiry" },
  { recipient: "POL", path: "oral_request" },
  { recipient: "POL", path: "public_task" },
  { recipient: "FIRE", path: "public_task" },
  { recipient: "INS", path: "commercial" },
] as const satisfies readonly { recipient: Recipient; path: RequestPath }[];

/** What somebody of ours finds out about a request (`sos/incident/requests.py`). */
export const REQUEST_FACTS = [
  "call_back_verified",
  "document_on_file",
  "legal_sign_off",
  "relation_plausible",
  "consent_on_file",
  "asking_obstructs_task",
  "risk_of_death",
  "good_faith",
] as const satisfies readonly Fact[];

export const REFUSALS = [
  "no_ground",
  "not_verified",
  "no_document",
  "too_wide",
  "person_objects",
  "not_held",
  "withdrawn",
  "other",
] as const satisfies readonly RefusalReason[];

/** What the law says of a request, and what is handed over where it permits. */
export interface Answered {
  outcome: string;
  rule: string;
  document: unknown;
}

/** Why somebody whom the plan names is not told (`sos/incident/model.py`). */
export const DECLINES = [
  "not_needed",
  "false_alarm",
  "already_there",
  "declined",
  "duplicate",
  "nobody_to_help",
  "law",
  "other",
] as const satisfies readonly DeclineReason[];
