/** What must not be missed at this desk, as functions of what is known here.  `sos/incident/alarms.py` says why. */

import { ALARM_KINDS } from "./offered";
import type { Alarm, AlarmKind, Incident } from "./protocol";
import { byUrgency, type Ring } from "./rules";
import { pending } from "./state";

/** One row of the strip. */
export interface Row {
  incident: Incident;
  /** `told`, `untold` and `nobody` last as long as nobody has the incident: the house has told an agency by itself, it
   * could tell nobody, or who was told before has not refused; `offered` until it is answered.  All others stand until somebody acknowledges them. */
  why: AlarmKind | "told" | "nobody" | "offered";
  /** Null: it ends when somebody answers. */
  alarm: Alarm | null;
  since: string | null;
}

/** Alarms of a call that nobody has: the row that asks for an answer says it already. */
const OF_NOBODY: ReadonlySet<string> = new Set(["unanswered", "untold", "told_unattended"]);

export function alarms(incidents: Iterable<Incident>, supervisor: boolean, me = ""): Row[] {
  const found: Row[] = [];
  for (const incident of incidents) {
    if (incident.handover?.to === me) found.push({ incident, why: "offered", alarm: null, since: incident.handover.at });
    const nobody = incident.unattended_at !== null && incident.sought.includes("nobody");
    if (nobody) {
      const told = incident.disclosures.some((one) => one.unattended && pending(one));
      const why = told ? "told" : incident.flags.includes("untold") ? "untold" : "nobody";
      found.push({ incident, why, alarm: null, since: incident.unattended_at });
    }
    for (const alarm of incident.alarms) {
      if (alarm.operator !== null || (nobody && OF_NOBODY.has(alarm.why))) continue;
      if (supervisor || alarm.audience === "everybody")
        found.push({ incident, why: alarm.why, alarm, since: alarm.raised_at });
    }
  }
  return found.sort((a, b) => order(a) - order(b) || byUrgency(a.incident, b.incident) || oldest(a, b));
}

const order = ({ why, alarm }: Row): number => (alarm === null ? -1 : ALARM_KINDS.indexOf(why as AlarmKind));
const oldest = (a: Row, b: Row): number => ((a.since ?? "") < (b.since ?? "") ? -1 : 1);

/** Somebody may be waiting for help behind it. */
const LOUD: ReadonlySet<string> = new Set([
  "no_voice",
  "unanswered",
  "assist",
  "handover",
  "no_response",
  "untold",
  "told_unattended",
  "ladder",
]);

/** How the strip sounds, again and again until each of its rows is acknowledged. */
export function sound(rows: readonly Row[]): Ring {
  if (rows.some(({ why, alarm }) => (alarm === null && why !== "offered") || LOUD.has(why))) return "high";
  return rows.length > 0 ? "medium" : null;
}

/** The louder of two. */
export function louder(one: Ring, other: Ring): Ring {
  const loudness: readonly Ring[] = [null, "soft", "low", "medium", "high"];
  return loudness.indexOf(one) >= loudness.indexOf(other) ? one : other;
}

/** Who can know of it: never that a supervisor does where none had a desk. */
export type Knows = "supervisors" | "no_supervisor" | "no_desk";

export function knows({ audience, supervisors }: Pick<Alarm, "audience" | "supervisors">): Knows {
  if (audience === null) return "no_desk";
  return supervisors.length > 0 ? "supervisors" : "no_supervisor";
}

/** The newest alarm about this disclosure or question. */
export const alarmAbout = (incident: Incident, about: string): Alarm | undefined =>
  incident.alarms.findLast((one) => one.about === about);
