/** Mass events at this desk, as functions of what the service told.  `sos/console/mass_events.py` says why. */

import type { MassEventTold, MassEventsTold } from "./protocol";
import type { Ring } from "./rules";

export const NONE: MassEventsTold = { t: "mass_events", decisions: 0, renewed_after_h: 6, audience: null, events: [] };

/** Whether this desk is alarmed: somebody has to decide, and it is among those who hear of it. */
export const alarmed = ({ audience }: MassEventsTold, supervisor: boolean): boolean =>
  audience === "everybody" || (audience === "supervisors" && supervisor);

export const sound = (told: MassEventsTold, supervisor: boolean): Ring => (alarmed(told, supervisor) ? "medium" : null);

/** What the banner is about: what has to be decided first, then what is in force. */
export function shown(told: MassEventsTold, supervisor: boolean): readonly MassEventTold[] {
  const seen = told.events.filter((one) => one.in_force || alarmed(told, supervisor) || supervisor);
  return [...seen].sort((a, b) => Number(a.in_force) - Number(b.in_force) || (a.since < b.since ? -1 : 1));
}

/** What a supervisor types as the area: `13104, JP-12`, or `35.69, 139.70, 20` for a circle in kilometres. */
export interface Area {
  latitude?: number;
  longitude?: number;
  radius_km?: number;
  codes?: readonly string[];
}

/** The area in what was typed; null where it is none. */
export function area(typed: string): Area | null {
  const parts = typed.normalize("NFKC").split(/[\s,、]+/).filter((part) => part !== "");
  const numbers = parts.map(Number);
  if (parts.length === 3 && numbers.every(Number.isFinite) && !parts.every((part) => /^\d{5}$/.test(part))) {
    const [latitude = 0, longitude = 0, radius = 0] = numbers;
    const possible = Math.abs(latitude) <= 90 && Math.abs(longitude) <= 180 && radius >= 1 && radius <= 500;
    return possible ? { latitude, longitude, radius_km: Math.round(radius) } : null;
  }
  const codes = parts.map((part) => part.toUpperCase());
  const known = codes.length > 0 && codes.every((code) => /^([A-Z]{2}-[A-Z0-9]{1,3}|\d{5})$/.test(code));
  return known ? { codes } : null;
}

/** The area of a mass event as it is typed. */
export function typed({ area: one }: Pick<MassEventTold, "area">): string {
  if (one.latitude != null && one.longitude != null) return `${one.latitude}, ${one.longitude}, ${one.radius_km ?? 0}`;
  return (one.codes ?? []).join(", ");
}
