/** Every incident the desk knows, and how far in the journal it has read.  Pure, like `state.ts`. */

import type { Degraded, EventFrame, FromServer, Happened, Incident, PartsItem } from "./protocol";
import { evolve, fresh } from "./state";

export interface Board {
  /** Where to go on reading: the last position seen.  Positions may come twice; the number of an event decides. */
  position: number;
  /** How many open incidents the service has; more than `incidents` holds when the snapshot was cut short. */
  total: number;
  incidents: ReadonlyMap<string, Incident>;
  /** What happened to each incident, as far as it was seen here. */
  history: ReadonlyMap<string, readonly Happened[]>;
  parts: ReadonlyMap<string, readonly PartsItem[]>;
  /** By incident: category to why something of it cannot be shown. */
  unreadable: ReadonlyMap<string, Readonly<Record<string, string>>>;
  /** Incidents whose beginning is missing here and that now matter: their history must be asked for. */
  unknown: ReadonlySet<string>;
  /** Reports that the journal does not know yet, by the incident they will open. */
  degraded: ReadonlyMap<string, Degraded>;
}

export const EMPTY: Board = {
  position: -1,
  total: 0,
  incidents: new Map(),
  history: new Map(),
  parts: new Map(),
  unreadable: new Map(),
  unknown: new Set(),
  degraded: new Map(),
};

/** The answer to a question for the history of one incident: its events from the first on. */
export interface History {
  t: "history";
  events: readonly EventFrame[];
}

/** Kinds that bring an incident beyond the end of the snapshot, or one closed long ago, before an operator. */
const MATTER: ReadonlySet<string> = new Set(["OperatorAssigned", "OperatorLost", "IncidentReopened", "AlarmRaised"]);

/** `board` after several frames at once: maps are copied once per batch, not once per event. */
export function apply(board: Board, frames: readonly (FromServer | History)[]): Board {
  let { position, total } = board;
  let incidents = new Map(board.incidents);
  const history = new Map(board.history);
  const parts = new Map(board.parts);
  const unreadable = new Map(board.unreadable);
  const unknown = new Set(board.unknown);
  const degraded = new Map(board.degraded);

  const happen = (frame: EventFrame): void => {
    const known = incidents.get(frame.incident);
    if (frame.n <= (known?.version ?? 0)) return;
    if (frame.n > (known?.version ?? 0) + 1) {
      if (known !== undefined || MATTER.has(frame.kind)) unknown.add(frame.incident);
      return;
    }
    incidents.set(frame.incident, evolve(known ?? fresh(frame.incident, frame.tenant), frame));
  };

  for (const frame of frames) {
    if (frame.t === "snapshot") {
      const closed = [...incidents].filter(([, one]) => one.state === "closed");
      incidents = new Map([...closed, ...frame.incidents.map((one): [string, Incident] => [one.id, one])]);
      position = frame.position;
      total = frame.total + closed.length;
    } else if (frame.t === "event") {
      position = Math.max(position, frame.position ?? -1);
      if (frame.n === 1 && !incidents.has(frame.incident)) total += 1;
      happen(frame);
      history.set(frame.incident, told(history.get(frame.incident), [frame]));
    } else if (frame.t === "history") {
      for (const event of frame.events) happen(event);
      const [first] = frame.events;
      if (first === undefined) continue;
      unknown.delete(first.incident);
      history.set(first.incident, told(history.get(first.incident), frame.events));
    } else if (frame.t === "parts") {
      parts.set(frame.incident, merged(parts.get(frame.incident) ?? [], frame.items));
      unreadable.set(frame.incident, frame.unreadable ?? {});
    } else if (frame.t === "degraded") {
      degraded.set(frame.incident, frame);
    } else if (frame.t === "recorded") {
      degraded.delete(frame.incident);
    } else if (frame.t === "welcome") {
      degraded.clear(); // the service tells again what still waits
    }
  }
  for (const id of degraded.keys()) if (incidents.has(id)) degraded.delete(id);
  return { position, total: Math.max(total, incidents.size), incidents, history, parts, unreadable, unknown, degraded };
}

function told(known: readonly Happened[] = [], events: readonly Happened[]): readonly Happened[] {
  const byNumber = new Map([...known, ...events.map(happened)].map((event) => [event.n, event]));
  return [...byNumber.values()].sort((a, b) => a.n - b.n);
}

function happened({ n, kind, at, actor, data }: Happened): Happened {
  return { n, kind, at, actor, data };
}

function merged(known: readonly PartsItem[], items: readonly PartsItem[]): readonly PartsItem[] {
  const byNumber = new Map([...known, ...items].map((item) => [item.n, item]));
  return [...byNumber.values()].sort((a, b) => a.n - b.n);
}

/** The timeline of one incident: what was seen happening, completed by what the parts tell of the time before. */
export function timeline(board: Board, id: string): readonly Happened[] {
  const byNumber = new Map<number, Happened>();
  for (const { n, kind, at } of board.parts.get(id) ?? []) byNumber.set(n, { n, kind, at, actor: "", data: {} });
  const opened = board.incidents.get(id)?.opened_at;
  if (opened) byNumber.set(1, { n: 1, kind: "IncidentOpened", at: opened, actor: "", data: {} });
  for (const event of board.history.get(id) ?? []) byNumber.set(event.n, event);
  return [...byNumber.values()].sort((a, b) => a.n - b.n);
}
