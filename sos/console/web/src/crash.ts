/** What is known of a crash, in one view, as `routing/brief/crash.py` has it; one table of cases holds both. */

import type { Answered } from "./parts";
import type { Crash, Vehicle } from "./protocol";

export const HAZARDS = [
  "fire", "water", "trapped", "ejected", "pedestrian", "fuelLeak", "rollover", "hydrogen", "gas", "highVoltage",
] as const;
export type Hazard = (typeof HAZARDS)[number];
export type Side = "front" | "rear" | "left" | "right";

export interface CrashFacts {
  deltaV: number | null;
  /** It may have been more: a component reached the sensor's limit, or only one is known. */
  atLeast: boolean;
  /** Where the force came from: 12 is ahead, 3 the right. */
  clock: number | null;
  side: Side | null;
  hazards: readonly Hazard[];
  /** The sender's own verdict, never ours. */
  severe: boolean | null;
  /** By what was answered on the call somebody may die. */
  heardSevere: boolean;
  /** As counted on the call. */
  occupants: number | null;
  injured: number | null;
}

const CARRIED: Partial<Record<Hazard, readonly string[]>> = {
  hydrogen: ["hydrogen", "fuelcell", "fcev"],
  gas: ["cng", "lpg", "lng"],
  highVoltage: ["electric", "hybrid", "bev", "ev", "hev", "phev", "hydrogen", "fuelcell", "fcev"],
};
const ROLLED = ["DETECTED", "TRUE", "YES"];

export function crashFacts(crash: Crash | null, vehicle: Vehicle | null, heard: readonly Answered[] = []): CrashFacts {
  const [x, y, whole, limit] = [crash?.deltaVX, crash?.deltaVY, crash?.deltaV, crash?.deltaVLimit].map(number);
  const known = [x, y].filter((each) => each !== undefined).map(Math.abs);
  const lengths = [...(known.length > 0 ? [Math.hypot(...known)] : []), ...(whole === undefined ? [] : [Math.abs(whole)])];
  const atLimit = limit !== undefined && [...known, ...lengths].some((each) => each >= Math.abs(limit));
  const clock = hour(crash?.principalDirectionClock, x, y);
  return {
    deltaV: lengths.length > 0 ? Math.round(Math.max(...lengths)) : null,
    atLeast: known.length === 1 || atLimit,
    clock,
    side: clock === null ? null : side(clock),
    hazards: HAZARDS.filter((hazard) => endangers(hazard, crash, vehicle) || heard.some((one) => one.hazard === hazard)),
    severe: typeof crash?.severeInjury === "boolean" ? crash.severeInjury : null,
    heardSevere: heard.some((one) => one.severe === true),
    occupants: counted(heard, "occupants"),
    injured: counted(heard, "injured"),
  };
}

function counted(heard: readonly Answered[], what: string): number | null {
  const last = heard.filter((one) => one.counts === what).at(-1)?.value;
  return typeof last === "number" ? last : null;
}

function endangers(hazard: Hazard, crash: Crash | null, vehicle: Vehicle | null): boolean {
  if (hazard === "rollover") return ROLLED.includes(String(crash?.rollover).toUpperCase());
  const carried = CARRIED[hazard];
  if (carried === undefined) return crash?.[hazard === "water" ? "submersed" : (hazard as "fire")] === true;
  const sources: unknown = vehicle?.energy;
  return Array.isArray(sources) && sources.some((each) => carried.includes(String(each).toLowerCase().replaceAll("_", "")));
}

function hour(stated: unknown, x: number | undefined, y: number | undefined): number | null {
  if (typeof stated === "number" && Number.isInteger(stated) && stated >= 1 && stated <= 12) return stated;
  if (x === undefined || y === undefined || Math.hypot(x, y) < 1) return null;
  const hours = Math.round((Math.atan2(-y, -x) * 180) / Math.PI / 30);
  return (((hours % 12) + 12) % 12) || 12;
}

function side(clock: number): Side {
  if (clock >= 11 || clock === 1) return "front";
  if (clock >= 5 && clock <= 7) return "rear";
  return clock < 6 ? "right" : "left";
}

const number = (value: unknown): number | undefined =>
  typeof value === "number" && Math.abs(value) < 10_000 ? value : undefined;

const PULSE = ["deltaVX", "deltaVY", "deltaV", "deltaVLimit", "principalDirectionClock"] as const;

/** What two reports say, the later over the earlier, with the whole of that impact which was the harder. */
export function joined(before: Crash | null, now: Crash): Crash {
  if (before === null) return now;
  const told = PULSE.some((name) => now[name] !== undefined);
  const force = (crash: Crash): number => crashFacts(crash, null).deltaV ?? 0;
  const pulse = told && force(now) >= force(before) ? now : before;
  const rest: Crash = { ...before, ...now };
  for (const name of PULSE) {
    delete rest[name];
    if (pulse[name] !== undefined) rest[name] = pulse[name];
  }
  return rest;
}
