/** Recordings that are heard: begun with a purpose, then asked for by pieces.  The service writes it down first. */

import type { Incident, Purpose } from "./protocol";

/** What happened while it was recorded (`sos/calls/playback.py`). */
export interface Mark {
  at_ms: number;
  what: string;
  /** The agency, or the operator; empty where there is nobody to name. */
  who: string;
}

export interface Listening {
  listening: string;
  recording: string;
  started_at: string;
  duration_ms: number;
  parties: readonly string[];
  marks: readonly Mark[];
  every_ms: number;
}

/** By party, how loud each tenth of a second was, in dBov. */
export type Waves = Readonly<Record<string, readonly number[]>>;

/** How much of a waveform is fetched at once. */
export const PIECE_MS = 60_000;
/** A mark is heard from a little before it. */
const BEFORE_MS = 2000;

/** What tells that somebody at an agency is there. */
const ANSWERS = ["agency_joined", "agency_heard", "agency_taken_over"];

/** The moment at which an agency answered first. */
export const agencyAnswered = (marks: readonly Mark[]): Mark | undefined => marks.find((mark) => ANSWERS.includes(mark.what));

/** Where the player begins for a mark, in seconds. */
export const seconds = (mark: Mark): number => Math.max(0, mark.at_ms - BEFORE_MS) / 1000;

/** `1:05`, and `1:02:09` from an hour on. */
export function position(ms: number): string {
  const whole = Math.floor(ms / 1000);
  const rest = String(whole % 60).padStart(2, "0");
  const minutes = Math.floor(whole / 60) % 60;
  const hours = Math.floor(whole / 3600);
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

/** Whose track it is: that of a leg is named after it, with its party or without. */
export function party(track: string, incident: Pick<Incident, "legs">): string {
  const [named, ...leg] = track.split("-");
  const known = incident.legs.find((one) => one.leg === track || one.leg === leg.join("-"));
  return known?.party ?? named ?? track;
}

/** The loudest value of each of `count` stretches, for a picture that has fewer columns than there are values. */
export function columns(values: readonly number[], total: number, count: number): number[] {
  const found = new Array<number>(count).fill(-127);
  values.forEach((value, at) => {
    const column = Math.min(count - 1, Math.floor((at * count) / Math.max(1, total)));
    found[column] = Math.max(found[column] ?? -127, value);
  });
  return found;
}

const path = (incident: string, recording: string): string =>
  `/v1/incidents/${encodeURIComponent(incident)}/recordings/${encodeURIComponent(recording)}/listenings`;

/** Null when the service refuses it, or cannot. */
export async function begin(incident: string, recording: string, purpose: Purpose, reason: string): Promise<Listening | null> {
  const body = JSON.stringify({ purpose, reason });
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch(path(incident, recording), { method: "POST", headers, body }).catch(() => null);
  return answer?.ok === true ? ((await answer.json()) as Listening) : null;
}

export const sound = (listening: string): string => `/v1/listenings/${encodeURIComponent(listening)}/sound`;

/** One piece after the other, as long as `wanted` says so. */
export async function* waves(listening: Listening, wanted: () => boolean): AsyncGenerator<Waves> {
  const where = `/v1/listenings/${encodeURIComponent(listening.listening)}/waveform`;
  for (let from = 0; from < listening.duration_ms && wanted(); from += PIECE_MS) {
    const answer = await fetch(`${where}?begin_ms=${from}&end_ms=${from + PIECE_MS}`).catch(() => null);
    if (answer?.ok !== true) return;
    yield (await answer.json()) as Waves;
  }
}
