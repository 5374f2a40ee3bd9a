/**
 * The operator's leg through Twilio's Voice SDK, where Twilio carries the calls.
 *
 * The SDK mends its own media and signalling (`reconnecting`); what it gives up is over at Twilio and cannot be taken up
 * again, so every try is a new leg.  The token is the service's and lasts an hour; a call that is up outlives it.
 */

import silence from "./silence.wav";
import { forget, hangUp, newLeg, type DeskVoice, type Listener, type VoiceState } from "./voice";
import { Microphone } from "./voiceMicrophone";

const ANSWER_WITHIN_MS = 10_000;
const SILENT_AFTER_MS = 10_000;
const TOKEN_EARLY_MS = 60_000;
const TOKEN_AGAIN_MS = 5_000;
const TOKEN_WITHIN_MS = 4_000;
const LONGEST_PAUSE_MS = 8_000;
/** Tries in a row after which the SDK is begun afresh: what is wrong may be its own. */
const FRESH_AFTER = 3;
const HOPELESS_AFTER = 4;

/** Codes of Twilio's errors that another token may mend: invalid, expired, signature, authentication. */
export const TOKEN_FAULTS: ReadonlySet<number> = new Set([20101, 20104, 20151, 31201, 31202, 31204, 31205]);

const SOUNDS = ["incoming", "outgoing", "disconnect", "dtmfs", "dtmfh", ...Array.from("0123456789", (key) => `dtmf${key}`)];

type Hear = (...told: never[]) => void;

/** The part of the SDK's `Call` that is used. */
export interface SdkCall {
  on(event: string, hear: Hear): unknown;
  disconnect(): void;
  mute(muted: boolean): void;
  status(): string;
}

/** The part of the SDK's `Device` that is used. */
export interface SdkDevice {
  on(event: string, hear: Hear): unknown;
  connect(options: { params: Record<string, string> }): Promise<SdkCall>;
  updateToken(token: string): void;
  destroy(): void;
}

/** What the service's token door answers. */
export interface Grant {
  token: string;
  edges: readonly string[];
}

/** Whose sound goes into the call. */
export interface Source {
  readonly live: boolean;
  prepare(): Promise<boolean>;
  lend(): Promise<MediaStream>;
}

/** What is handed in, so that a test can misbehave in Twilio's place. */
export interface Parts {
  microphone: Source;
  grant(): Promise<Grant>;
  make(grant: Grant, options: Record<string, unknown>): Promise<SdkDevice>;
  hangUp(incident: string, leg: string): void;
}

export class SdkVoice implements DeskVoice {
  incident: string | null = null;
  readonly #listener: Listener;
  readonly #parts: Parts;
  #device: SdkDevice | null = null;
  #making: Promise<SdkDevice> | null = null;
  #stale = false;
  #call: SdkCall | null = null;
  #leg: string | null = null;
  /** Counts tries: whatever an earlier one still says is nobody's business any more. */
  #turn = 0;
  #tries = 0;
  #muted = false;
  #closing = false;
  #overdue: ReturnType<typeof setTimeout> | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;

  constructor(listener: Listener, parts: Parts = { microphone: new Microphone(), grant, make, hangUp }) {
    this.#listener = listener;
    this.#parts = parts;
  }

  get hasMicrophone(): boolean {
    return this.#parts.microphone.live;
  }

  /** The SDK and its token are fetched as well, so that no call waits for them. */
  prepare(): Promise<boolean> {
    void this.#ready().catch(() => undefined);
    return this.#parts.microphone.prepare();
  }

  mute(muted: boolean): void {
    this.#muted = muted;
    this.#call?.mute(muted);
  }

  join(incident: string): void {
    if (this.incident === incident) return;
    if (this.incident !== null) this.leave();
    this.incident = incident;
    this.#closing = false;
    this.#tries = 0;
    void this.#dial("connecting");
  }

  leave(): void {
    const [incident, leg] = [this.incident, this.#leg];
    this.incident = null;
    this.#leg = null;
    if (incident !== null && leg !== null) this.#parts.hangUp(incident, leg); // said first: an end that was meant is no call cut off
    this.giveWay();
    if (incident !== null) forget(incident);
  }

  giveWay(): void {
    this.incident = null;
    this.#leg = null;
    this.#drop();
    this.#become("idle");
  }

  closing(closing: boolean): void {
    this.#closing = closing;
    if (!closing) this.again();
  }

  /** The call is at Twilio and outlives our service. */
  again(): void {
    if (this.incident !== null && this.#call === null) void this.#dial("recovering");
  }

  async #dial(meanwhile: VoiceState): Promise<void> {
    const incident = this.incident;
    if (incident === null) return;
    this.#drop();
    const turn = this.#turn;
    this.#become(meanwhile);
    this.#overdue = setTimeout(() => this.#later(turn), ANSWER_WITHIN_MS);
    try {
      const device = await this.#ready();
      if (turn !== this.#turn) return;
      const leg = newLeg(incident);
      this.#leg = leg;
      const call = await device.connect({ params: { incident, leg } });
      if (turn !== this.#turn) return call.disconnect();
      this.#follow(call, turn);
    } catch (failed) {
      this.#stale ||= TOKEN_FAULTS.has(codeOf(failed));
      this.#later(turn);
    }
  }

  #follow(call: SdkCall, turn: number): void {
    const on = (event: string, hear: Hear): void => {
      call.on(event, (...told: never[]) => {
        if (turn === this.#turn) hear(...told);
      });
    };
    this.#call = call;
    call.mute(this.#muted);
    on("accept", () => this.#up());
    on("reconnected", () => this.#up());
    on("reconnecting", () => this.#faltering(turn));
    on("warning", (name: string) => name === "low-bytes-received" && this.#faltering(turn));
    on("warning-cleared", (name: string) => name === "low-bytes-received" && this.#up());
    on("volume", (_: number, incoming: number) => this.#listener.level(incoming));
    on("error", (error: unknown) => {
      this.#stale ||= TOKEN_FAULTS.has(codeOf(error));
      if (call.status() === "closed") this.#later(turn);
    });
    for (const end of ["disconnect", "cancel", "reject"]) on(end, () => this.#later(turn));
    if (call.status() === "open") this.#up();
    else if (call.status() === "closed") this.#later(turn);
  }

  #up(): void {
    clearTimeout(this.#overdue);
    this.#tries = 0;
    this.#become(this.hasMicrophone ? "connected" : "no_microphone");
  }

  /** The SDK tries to mend it; when that takes too long, a new call is quicker. */
  #faltering(turn: number): void {
    this.#become("recovering");
    clearTimeout(this.#overdue);
    this.#overdue = setTimeout(() => this.#later(turn), SILENT_AFTER_MS);
  }

  #later(turn: number): void {
    if (turn !== this.#turn) return;
    this.#drop();
    if (this.#closing || this.incident === null) return;
    const state = this.#tries > HOPELESS_AFTER ? "failed" : "recovering";
    this.#become(state);
    const pause = this.#tries === 0 ? 0 : Math.min(LONGEST_PAUSE_MS, 250 * 2 ** this.#tries);
    this.#tries += 1;
    if (this.#tries >= FRESH_AFTER) this.#discard();
    this.#retry = setTimeout(() => void this.#dial(state), pause);
  }

  #drop(): void {
    this.#turn += 1;
    clearTimeout(this.#overdue);
    clearTimeout(this.#retry);
    const call = this.#call;
    this.#call = null;
    call?.disconnect();
    this.#listener.level(0);
  }

  /** The SDK with a token that holds. */
  #ready(): Promise<SdkDevice> {
    this.#making ??= this.#made().finally(() => (this.#making = null));
    return this.#making;
  }

  async #made(): Promise<SdkDevice> {
    if (this.#device !== null && !this.#stale) return this.#device;
    const grant = await this.#parts.grant();
    this.#stale = false;
    if (this.#device !== null) {
      this.#device.updateToken(grant.token);
      return this.#device;
    }
    const device = await this.#parts.make(grant, this.#options(grant));
    device.on("tokenWillExpire", () => void this.#renew(device));
    device.on("error", (error: unknown) => {
      if (TOKEN_FAULTS.has(codeOf(error))) void this.#renew(device);
    });
    this.#device = device;
    return device;
  }

  #options(grant: Grant): Record<string, unknown> {
    return {
      edge: grant.edges,
      codecPreferences: ["opus", "pcmu"],
      tokenRefreshMs: TOKEN_EARLY_MS,
      enableImprovedSignalingErrorPrecision: true,
      getUserMedia: () => this.#parts.microphone.lend(),
      logLevel: "error",
      publishEvents: false, // how a call went is told to nobody outside, and the page may reach no such address
      sounds: Object.fromEntries(SOUNDS.map((name) => [name, silence])), // Twilio's own lie on a site of theirs
    };
  }

  /** Another token before the present one is over, or when it was not believed; again until there is one. */
  async #renew(device: SdkDevice): Promise<void> {
    try {
      const { token } = await this.#parts.grant();
      if (this.#device === device) device.updateToken(token);
    } catch {
      this.#stale = true;
      setTimeout(() => {
        if (this.#device === device && this.#stale) void this.#renew(device);
      }, TOKEN_AGAIN_MS);
      return;
    }
    this.#stale = false;
  }

  #discard(): void {
    const device = this.#device;
    this.#device = null;
    device?.destroy();
  }

  #become(state: VoiceState): void {
    this.#listener.changed(state, null);
  }
}

function codeOf(error: unknown): number {
  return typeof error === "object" && error !== null && "code" in error && typeof error.code === "number" ? error.code : 0;
}

async function grant(): Promise<Grant> {
  const answer = await fetch("/console/voice-token", { signal: AbortSignal.timeout(TOKEN_WITHIN_MS) });
  if (!answer.ok) throw new Error(`voice token ${answer.status}`);
  return (await answer.json()) as Grant;
}

/** Loaded when it is needed and not before: a house that carries its own voice never does. */
async function make(grant: Grant, options: Record<string, unknown>): Promise<SdkDevice> {
  const { Device } = await import("@twilio/voice-sdk");
  return new Device(grant.token, options) as unknown as SdkDevice;
}
