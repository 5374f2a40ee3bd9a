/** What personal data look like: the parts of events by category, and what a brand says.  Names are camelCase, as sent. */

import type { Location } from "./protocol";

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

/** The aid's judgement of one crash; `routing/severity/models.py` made it.  Absent where the brand does no profiling. */
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

/** An answer to a question of the card, with the words under which it is shown. */
export interface Answered {
  question: string;
  ja: string;
  en: string;
  value: string | number;
  saidJa: string;
  saidEn: string;
  hazard?: string | null;
  severe?: boolean;
  counts?: string;
}

/** What is said in a brand's name. */
export interface Brand {
  name_ja: string;
  name_en: string;
  operator: string;
  words: Readonly<Record<string, { greeting: string; recording_notice?: string; script?: readonly string[] }>>;
}
