/** The call as its legs tell it: who is in it and how, and what can be done about it.  Pure; the server decides. */

import type { Happened, Incident, Leg } from "./protocol";

export type Standing = "up" | "held" | "muted" | "coaching" | "ringing" | "invited" | "left";

/** One shape for each standing, so that it can be told without its colour. */
export const STANDING_SHAPES: Readonly<Record<Standing, string>> = {
  up: "●",
  held: "‖",
  muted: "⊘",
  coaching: "◐",
  ringing: "◌",
  invited: "○",
  left: "✕",
};

export function standing(leg: Leg): Standing {
  if (leg.left !== null) return "left";
  if (!leg.up) return leg.ringing ? "ringing" : "invited";
  if (leg.held) return "held";
  if (leg.muted) return "muted";
  return leg.coaching === null ? "up" : "coaching";
}

const ORDER = ["vehicle", "operator", "supervisor", "interpreter", "agency"] as const;

/** The legs to show: those that live, and of each party that is gone altogether the last one, with why. */
export function shown(incident: Incident): Leg[] {
  const living = incident.legs.filter((leg) => leg.left === null);
  const last = new Map(incident.legs.filter((leg) => leg.left !== null).map((leg) => [`${leg.party} ${leg.who}`, leg]));
  for (const leg of living) last.delete(`${leg.party} ${leg.who}`);
  return [...living, ...last.values()].sort((a, b) => ORDER.indexOf(a.party) - ORDER.indexOf(b.party));
}

export const BARS = 5;
const QUIET_DBOV = -55;
const LOUD_DBOV = -15;

/** Bars of a meter, 0 to `BARS`, for a loudness in dBov: speech is around -30, the noise of a room below -55. */
export function bars(dbov: number | undefined): number {
  if (dbov === undefined || dbov <= QUIET_DBOV) return 0;
  return Math.min(BARS, Math.ceil(((dbov - QUIET_DBOV) / (LOUD_DBOV - QUIET_DBOV)) * BARS));
}

export const legUp = (incident: Incident, party: Leg["party"]): Leg | undefined =>
  incident.legs.find((leg) => leg.party === party && leg.up);

/** Whom a private talk with `leg` puts on hold, and whom it lets talk. */
export function consulting(incident: Incident, leg: string, own: string): { leg: string; held: boolean }[] {
  return incident.legs
    .filter((one) => one.up && one.who !== own && one.party !== "supervisor" && one.held !== (one.leg !== leg))
    .map((one) => ({ leg: one.leg, held: one.leg !== leg }));
}

/** Whether the vehicle speaks with nobody: no agency is left, and the operator of this desk has gone out. */
export const alone = (incident: Incident): boolean =>
  legUp(incident, "vehicle") !== undefined && legUp(incident, "agency") === undefined;

/** Whether the operator may leave vehicle and agency to each other. */
export const mayLeave = (incident: Incident): boolean => incident.state === "handed_over" && !alone(incident);

/** The keys pressed on a leg so far, in order. */
export function keysOf(events: readonly Happened[], leg: string): string {
  return events
    .filter((event) => event.kind === "KeysPressed" && event.data["leg"] === leg)
    .map((event) => String(event.data["keys"]))
    .join("");
}

/** Seconds for which a leg waits, or will wait, for its turn at the provider; null when it does not. */
export function queuedFor(events: readonly Happened[], leg: Leg): number | null {
  if (leg.up || leg.ringing || leg.left !== null) return null;
  const told = events.findLast((event) => event.kind === "LegQueued" && event.data["leg"] === leg.leg);
  return told === undefined ? null : Math.round(Number(told.data["queued_ms"]) / 1000);
}

/** Agencies that were told and can be let in: nobody of them is in the call or on the way. */
export function outside(incident: Incident): string[] {
  const inside = new Set(incident.legs.filter((leg) => leg.left === null).map((leg) => leg.who));
  const told = incident.disclosures.filter((one) => one.rejected === null && !one.superseded).map((one) => one.agency);
  return [...new Set(told)].filter((agency) => !inside.has(agency));
}

/** How long the vehicle can still be called back, in seconds; null while it is in the call, 0 once that is over. */
export function callBackLeft(incident: Incident, now: number): number | null {
  if (incident.legs.some((leg) => leg.party === "vehicle" && leg.up)) return null;
  if (incident.call_back_from === null) return 0;
  const until = Date.parse(incident.call_back_from) + (incident.call_back_window_s ?? 3600) * 1000;
  return Math.max(0, Math.ceil((until - now) / 1000));
}

/** After which a vehicle that is held while somebody is called is let go (`sos/incident/voice.py`). */
export const HELD_AT_MOST_S = 60;

/** How long the vehicle is held already while somebody is called, in seconds; null while it is not. */
export const heldFor = (incident: Incident, now: number): number | null =>
  incident.held_at === null ? null : Math.max(0, Math.floor((now - Date.parse(incident.held_at)) / 1000));
