/** One crash of several cars, as far as it is reckoned and not drawn.  Pure. */

import type { CrashView, EventFrame, Incident } from "./protocol";

/** Incidents that may be linked with this one by hand: open, of the same mode, and not linked with it; newest first. */
export function linkable(incident: Incident, all: Iterable<Incident>): Incident[] {
  const with_it = new Set([incident.id, ...(incident.linked?.cars.map((car) => car.incident) ?? [])]);
  return [...all]
    .filter((one) => one.state !== "closed" && one.mode === incident.mode && !with_it.has(one.id))
    .sort((a, b) => b.id.localeCompare(a.id));
}

/** Whether an event makes what is shown of a crash old. */
export const concerns = (crash: CrashView, event: Pick<EventFrame, "incident">): boolean =>
  crash.cars.some((car) => car.incident === event.incident);

export interface Spot {
  incident: string;
  latitude: number;
  longitude: number;
}

/** Where the other cars are, for the map. */
export function spots(crash: CrashView | null, selected: string | null): Spot[] {
  if (crash === null || !crash.cars.some((car) => car.incident === selected)) return [];
  return crash.cars.flatMap(({ incident, latitude, longitude }) =>
    incident === selected || latitude === null || longitude === null ? [] : [{ incident, latitude, longitude }],
  );
}
