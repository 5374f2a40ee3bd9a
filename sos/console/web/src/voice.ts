/**
 * What the desk asks of voice.  Who carries it is the service's choice (`welcome.voice`); nothing outside of `voice*.ts`
 * knows which way it is.
 */

export type VoiceState =
  | "idle"
  | "connecting"
  | "connected"
  | "recovering"
  | "failed"
  | "no_microphone"
  /** The desk talks on its telephone, which the service calls. */
  | "telephone";

export interface Listener {
  changed(state: VoiceState, pc: RTCPeerConnection | null): void;
  /** How loud the others are, 0 to 1. */
  level(level: number): void;
}

/** The operator's leg.  It looks after itself: whatever breaks, it comes back until it is told to leave. */
export interface DeskVoice {
  /** Whose call the desk is in, or on the way into. */
  readonly incident: string | null;
  readonly hasMicrophone: boolean;
  /** Ask for the microphone, inside the "start work" click; false when there is none or it was refused. */
  prepare(): Promise<boolean>;
  mute(muted: boolean): void;
  /** Talk with the vehicle of `incident`; nothing happens when this is going on already. */
  join(incident: string): void;
  /** Hang up the leg. */
  leave(): void;
  /** Stop here because the operator speaks in another window now: nothing is hung up at the service. */
  giveWay(): void;
  /** While the incident is being closed a dead connection is no fault; when it is not closed after all, call again. */
  closing(closing: boolean): void;
  /** The service was restarted: make sure of the other end, whatever the browser still believes. */
  again(): void;
}

const KEPT = "sos.leg.";

/** The leg id of `incident`, made at first use. */
export function legOf(incident: string): string {
  return sessionStorage.getItem(KEPT + incident) ?? newLeg(incident);
}

/** Another leg id for `incident`, where a call that is over cannot be taken up again. */
export function newLeg(incident: string): string {
  const made = crypto.randomUUID();
  sessionStorage.setItem(KEPT + incident, made);
  return made;
}

export function forget(incident: string): void {
  sessionStorage.removeItem(KEPT + incident);
}

/** Tell the service that a leg is meant to be over. */
export function hangUp(incident: string, leg: string): void {
  const address = `/console/incidents/${encodeURIComponent(incident)}/legs/${encodeURIComponent(leg)}`;
  void fetch(address, { method: "DELETE", keepalive: true }).catch(() => undefined);
}
