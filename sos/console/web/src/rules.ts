/** What the screen says first, suggests and forbids, as functions of the incident.  The server decides in the end. */

import { joined } from "./crash";
import type { Consent, Necessity, Path } from "./offered";
import type { Answered, Owner, Place, Prediction } from "./parts";
import type {
  CallBack,
  CardQuestion,
  Crash,
  Degraded,
  Disclosure,
  Disposition,
  EmergencyKind,
  Incident,
  Location,
  NamedPlace,
  PartsItem,
  Service,
  StatedPlace,
  Vehicle,
  WaitReason,
  Welcome,
} from "./protocol";
import type { Agency } from "./protocol";
import { answerable, fresh, HEAD_START, pending, quiet, talking } from "./state";

/** How loudly an incident asks for a person.  Each has its own shape, word and colour. */
export type Urgency = "automatic" | "unknown" | "manual" | "exercise";

export const SHAPES: Readonly<Record<Urgency, string>> = { automatic: "▲", unknown: "◆", manual: "●", exercise: "▨" };
const ORDER: Readonly<Record<Urgency, number>> = { automatic: 0, unknown: 1, manual: 2, exercise: 3 };

export function urgency(incident: Incident): Urgency {
  if (incident.mode !== "live") return "exercise";
  return incident.trigger;
}

/** By class, then by age; whoever is in danger counts as having come earlier, and never leaves the class. */
export function byUrgency(a: Incident, b: Incident): number {
  const first = ORDER[urgency(a)] - ORDER[urgency(b)];
  if (first !== 0) return first;
  const [left, right] = [rankedAt(a), rankedAt(b)];
  return left < right ? -1 : left > right ? 1 : a.id < b.id ? -1 : 1;
}

function rankedAt({ opened_at, urgent }: Incident): number {
  return (opened_at === null ? 0 : Date.parse(opened_at)) - Math.max(0, ...urgent.map((one) => HEAD_START.get(one) ?? 0)) * 1000;
}

export interface Sections {
  waiting: Incident[];
  mine: Incident[];
  others: Incident[];
  /** Test calls that nobody has answered: they ring nowhere, and end by themselves. */
  tests: Incident[];
  closed: Incident[];
}

export function sections(incidents: Iterable<Incident>, operator: string): Sections {
  const found: Sections = { waiting: [], mine: [], others: [], tests: [], closed: [] };
  for (const incident of incidents) {
    if (incident.state === "closed") found.closed.push(incident);
    else if (quiet(incident) && answerable(incident)) found.tests.push(incident);
    else if (answerable(incident)) found.waiting.push(incident);
    else if (incident.operator === operator) found.mine.push(incident);
    else found.others.push(incident);
  }
  found.waiting.sort(byUrgency);
  found.mine.sort(byUrgency);
  found.others.sort(byUrgency);
  found.tests.sort(byUrgency);
  found.closed.sort((a, b) => ((a.changed_at ?? "") < (b.changed_at ?? "") ? 1 : -1));
  return found;
}

/** What came in while the database was away, as incidents that every desk hears, most urgent first. */
export function unrecorded(reports: Iterable<Degraded>): Incident[] {
  const made = [...reports].map(({ incident, mode, trigger, received_at }): Incident => ({
    ...fresh(incident, ""),
    mode,
    trigger,
    opened_at: received_at,
  }));
  return made.sort(byUrgency);
}

/** `wanted` in the order shown before, newcomers at the end: rows do not jump under the pointer. */
export function frozen(shown: readonly string[], wanted: readonly Incident[]): Incident[] {
  const place = new Map(shown.map((id, index) => [id, index]));
  return [...wanted].sort((a, b) => (place.get(a.id) ?? shown.length) - (place.get(b.id) ?? shown.length));
}

export type Ring = "high" | "medium" | "low" | "soft" | null;

/** The loudest pattern that anything ringing at this desk asks for. */
export function ring(waitingIncidents: readonly Incident[], desk: string): Ring {
  const here = waitingIncidents.filter((one) => one.desks.length === 0 || one.desks.includes(desk));
  const loudest = here.map(urgency);
  if (loudest.includes("automatic") || loudest.includes("unknown")) return "high";
  if (loudest.includes("manual")) return "medium";
  return loudest.length > 0 ? "low" : null;
}

export interface Known {
  location: Location | null;
  place: Place | null;
  /** Where it was until the newest move. */
  before: Place | null;
  /** The place in the caller's words. */
  stated: string | null;
  /** What somebody has said of the place last, and where our data say that that is. */
  heardPlace: StatedPlace | null;
  named: NamedPlace | null;
  vehicle: Vehicle | null;
  crash: Crash | null;
  callBack: CallBack | null;
  prediction: Prediction | null;
  owner: Owner | null;
  answers: Answers;
  /** What the people in the car speak, and who says so: the operator, the report, or the registry. */
  language: { code: string; by: "stated" | "reported" | "registered" } | null;
  notes: readonly { n: number; at: string; category: string; text: string }[];
}

/** Kinds whose part is somebody's own words. */
const WORDS: ReadonlySet<string> = new Set([
  "NoteAdded",
  "CancelReceived",
  "AnswerGiven",
  "IncidentReopened",
  "HandoverOffered",
  "AgencyAsked",
  "AlarmRaised",
]);

/** What the parts say, the latest report winning. */
export function known(items: readonly PartsItem[]): Known {
  let [location, place, vehicle, crash, callBack]: [
    Location | null,
    Place | null,
    Vehicle | null,
    Crash | null,
    CallBack | null,
  ] = [null, null, null, null, null];
  let [prediction, owner]: [Prediction | null, Owner | null] = [null, null];
  let named: NamedPlace | null = null;
  let before: Place | null = null;
  let stated: string | null = null;
  const answers: Record<string, Answered> = {};
  let heardPlace: StatedPlace | null = null;
  const languages: Languages = {};
  const notes: { n: number; at: string; category: string; text: string }[] = [];
  for (const { kind, n, at, parts } of items) {
    if (kind === "ReportFiled") {
      if (place === null) location = (parts["LOC"] as Location | undefined) ?? location;
      vehicle = (parts["VEH"] as Vehicle | undefined) ?? vehicle;
      if (parts["SEV"] !== undefined) crash = joined(crash, parts["SEV"] as Crash);
      callBack = (parts["TEL"] as CallBack | undefined) ?? callBack;
      languages.reported = callBack?.language ?? languages.reported;
    } else if (kind === "SeverityJudged") {
      prediction = (parts["SEV"] as { prediction?: Prediction } | undefined)?.prediction ?? prediction;
    } else if (kind === "VehicleRecognised") {
      owner = (parts["OWN"] as Owner | undefined) ?? owner;
      languages.registered = (parts["TEL"] as { registeredLanguage?: string } | undefined)?.registeredLanguage ?? languages.registered;
    } else if (kind === "LanguageStated") {
      languages.stated = (parts["TEL"] as CallBack | undefined)?.language ?? languages.stated;
    } else if (kind === "CardAnswered") {
      for (const part of Object.values(parts)) answers[(part as Answered).question] = part as Answered;
    } else if (kind === "PlanMade") {
      const made = parts["LOC"] as Place | undefined;
      if (made === undefined) continue;
      if (place !== null && apart(place, made)) [before, named] = [place, null]; // the name was of the earlier place
      // One position with all that is said of it: a plan from before it was told whole has only the coordinates.
      [place, location] = [made, made.source === undefined ? location : made];
    } else if (kind === "PlaceStated") {
      stated = (parts["LOC"] as { stated?: string } | undefined)?.stated ?? stated;
    } else if (kind === "PlaceHeard") {
      heardPlace = (parts["LOC"] as StatedPlace | undefined) ?? heardPlace;
    } else if (kind === "PlaceDescribed") {
      named = (parts["LOC"] as NamedPlace | undefined) ?? named;
    } else if (kind === "IncidentOpened") {
      vehicle = (parts["VEH"] as Vehicle | undefined) ?? vehicle; // only the door knew which car it was
    } else if (WORDS.has(kind)) {
      for (const [category, part] of Object.entries(parts)) {
        const words = typeof part === "string" ? part : (part as { text?: string }).text;
        if (words) notes.push({ n, at, category, text: words });
      }
    }
  }
  return { location, place, before, stated, heardPlace, named, vehicle, crash, callBack, prediction, owner, answers, language: spokenBy(languages), notes };
}

interface Languages {
  stated?: string | undefined;
  reported?: string | undefined;
  registered?: string | undefined;
}

/** The surest word, as its primary subtag. */
function spokenBy(languages: Languages): Known["language"] {
  for (const by of ["stated", "reported", "registered"] as const) {
    const code = languages[by]?.split("-")[0]?.toLowerCase();
    if (code) return { code, by };
  }
  return null;
}

const apart = (one: Place, other: Place): boolean =>
  one.latitude !== other.latitude || one.longitude !== other.longitude;

export const located = <T extends Pick<Location, "latitude" | "longitude">>(
  location: T | null,
): location is T & { latitude: number; longitude: number } =>
  location?.latitude !== undefined && location.longitude !== undefined;

/** Who has taken over, and with whom the place in force was not read back (`sos/incident/heard_place.py`). */
export const unread = ({ disclosures, place_version }: Incident): Disclosure[] =>
  disclosures.filter(
    ({ reached, superseded, read_back }) => reached === "taken_over" && !superseded && read_back !== place_version,
  );

export interface Choice {
  agency: string;
  service: Service;
  suggested: boolean;
}

/** Agencies in the order of the plan, the first of each service suggested; then those the plan did not name. */
export function choices(incident: Incident, agencies: Readonly<Record<string, Agency>>): Choice[] {
  const seen = new Set<Service>();
  const named = incident.agencies.flatMap((agency) => {
    const service = agencies[agency]?.service;
    if (!service) return [];
    const suggested = !seen.has(service);
    seen.add(service);
    return [{ agency, service, suggested }];
  });
  const rest = Object.entries(agencies)
    .filter(([agency]) => !incident.agencies.includes(agency))
    .map(([agency, { service }]) => ({ agency, service, suggested: false }));
  const first = named.filter((choice) => choice.suggested);
  return [...first, ...named.filter((choice) => !choice.suggested), ...rest];
}

/** Whom a key brings into the call: the one of that service that was told, else the one that the plan names. */
export function toBring(incident: Incident, agencies: Readonly<Record<string, Agency>>, service: Service): string | null {
  const of = (agency: string): boolean => agencies[agency]?.service === service;
  const told = incident.disclosures.findLast((one) => of(one.agency) && one.rejected === null && !one.superseded);
  return told?.agency ?? incident.agencies.find(of) ?? null;
}

/** Whether an agency was told and has not refused, so that it may be let in. */
export const letIn = (incident: Incident, agency: string): boolean =>
  incident.disclosures.some((one) => one.agency === agency && one.rejected === null);

/** The line on which this house calls an agency, its first one; null where it dials nobody, or knows none. */
export function lineOf(me: Pick<Welcome, "dials" | "agencies">, agency: string): string | null {
  const lines = Object.keys(me.agencies[agency]?.lines ?? {});
  return me.dials ? (lines.find((line) => line === "first") ?? lines[0] ?? null) : null;
}

/** Why `agency` cannot be told now, as a key of the catalogue; null when it can. */
export function barred(incident: Incident, agency: string, partner: boolean, update = false): Barrier | null {
  if (!talking(incident)) return "barred.not_answered";
  if (incident.mode === "test") return "barred.test";
  if (incident.mode === "drill" && !partner) return "barred.no_partner";
  if (!update && incident.disclosures.some((one) => one.agency === agency && pending(one))) return "barred.pending";
  return null;
}

/** What is still to be said before somebody is told on `path`. */
export function unsaid(path: Path, agreed: readonly string[], reason: string, approved: boolean): Barrier | null {
  if (path === "agreed" && agreed.length === 0) return "barred.nothing_agreed";
  if (path === "refused" && !approved && reason.trim() === "") return "barred.no_reason";
  return null;
}

/** What the person has said decides which path comes first. */
export function likelyPath(incident: Incident): Path {
  if (incident.consent === null) return "life_protection";
  return incident.consent.answer === "agreed" ? "agreed" : "refused";
}

export type Barrier =
  | "barred.not_answered"
  | "barred.test"
  | "barred.no_partner"
  | "barred.pending"
  | "barred.nobody_took_over"
  | "barred.agency_pending"
  | "barred.test_only"
  | "barred.drill_only"
  | "barred.untold"
  | "barred.nothing_agreed"
  | "barred.no_reason";

/** Why the incident cannot be closed as `disposition`; null when it can. */
export function unclosable(incident: Incident, disposition: Disposition): Barrier | null {
  if (incident.state === "closed") return null;
  if (incident.operator === null) return "barred.not_answered";
  if (disposition === "handed_over" && !incident.disclosures.some((one) => one.reached === "taken_over"))
    return "barred.nobody_took_over";
  if (incident.disclosures.some(pending)) return "barred.agency_pending";
  if ((incident.mode === "test") !== (disposition === "test")) return "barred.test_only";
  if (disposition === "drill" && incident.mode !== "drill") return "barred.drill_only";
  return null;
}

export function likelyDisposition(incident: Incident): Disposition | "" {
  if (incident.mode === "test") return "test";
  if (incident.mode === "drill") return "drill";
  return incident.disclosures.some((one) => one.reached === "taken_over") ? "handed_over" : "";
}

export function likelyNecessity(incident: Incident, crash: Crash | null, answers: Answers): Necessity {
  const crashed = incident.trigger === "automatic" || crash?.airbagDeployed === true;
  if (crashed) return unresponsive(incident, answers) ? "silence_after_crash" : "automatic_crash";
  return "call_for_help";
}

export function likelyConsent(incident: Incident, answers: Answers): Consent {
  if (!incident.legs.some((leg) => leg.party === "vehicle" && leg.up)) return "no_answer";
  return unresponsive(incident, answers) ? "unconscious" : "delay";
}

/** Nobody in the vehicle answers: so it was said, or the no-response clock has run out. */
const unresponsive = (incident: Incident, answers: Answers): boolean =>
  answers["conscious"]?.value === "no" || assumed(incident);

export const WAIT_REASONS: readonly WaitReason[] = ["line", "sounds", "language", "others"];

export const assumed = ({ response }: Incident): boolean =>
  response !== null && response.assumed_at !== null && !response.heard;

/** Seconds until nobody in the vehicle is taken to be conscious; null while the clock stands. */
export function responseLeft({ response }: Incident, now: number): number | null {
  if (response === null || response.heard || response.assumed_at !== null || response.began_at === null) return null;
  return Math.max(0, (Date.parse(response.began_at) + response.limit_ms - now) / 1000);
}

/** The card of one kind of emergency, in the brand's own words where it has some. */
export function card(cards: Welcome["cards"] | undefined, tenant: string, kind: EmergencyKind): readonly CardQuestion[] {
  const asked = cards?.[tenant] ?? cards?.[""] ?? [];
  return asked.filter((one) => one.kinds.includes(kind));
}

export interface Offered {
  /** The digit that gives it. */
  key: string;
  value: string | number;
  /** Its words; of a yes, a no and a not known, their code. */
  words: Readonly<Record<"ja" | "en", string>> | "yes" | "no" | "unknown";
}

/** Most people that one key can say; more are typed. */
const BY_KEY = 8;

/** What one key answers, in the order of the keys. */
export function offered(question: CardQuestion): readonly Offered[] {
  if (question.form === "words") return [];
  if (question.form === "number") {
    const numbers = Array.from({ length: BY_KEY + 1 }, (_, n): Offered => ({ key: String(n), value: n, words: { ja: String(n), en: String(n) } }));
    return [...numbers, { key: "9", value: "unknown", words: "unknown" }];
  }
  const said: Omit<Offered, "key">[] =
    question.form === "yes_no"
      ? [{ value: "yes", words: "yes" }, { value: "no", words: "no" }]
      : question.choices.map(({ id, ja, en }) => ({ value: id, words: { ja, en } }));
  return [...said, { value: "unknown", words: "unknown" } as const].map((one, n) => ({ ...one, key: String(n + 1) }));
}

/** The last answer to each question, by its code. */
export type Answers = Readonly<Record<string, Answered | undefined>>;
