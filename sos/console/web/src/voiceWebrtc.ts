/**
 * The operator's voice leg over our own WebRTC: one connection per incident, under a leg id that is kept for as long as
 * the tab lives.  It looks after itself: when the connection fails, or sound stops coming, it is offered again under the
 * same id, and the service replaces the old connection.  It does not depend on the socket.
 */

import { forget, hangUp, legOf, type DeskVoice, type Listener, type VoiceState } from "./voice";
import { Microphone } from "./voiceMicrophone";

const GATHER_WITHIN_MS = 1500;
const SILENT_AFTER_MS = 3000;
const LONGEST_PAUSE_MS = 8000;

export class WebRtcVoice implements DeskVoice {
  incident: string | null = null;
  #pc: RTCPeerConnection | null = null;
  #state: VoiceState = "idle";
  #watch: ReturnType<typeof setInterval> | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #tries = 0;
  #received = 0;
  #receivedAt = 0;
  #lostAt: number | null = null;
  #muted = false;
  #closing = false;
  readonly #speaker = new Audio();
  readonly #microphone = new Microphone();
  readonly #listener: Listener;

  constructor(listener: Listener) {
    this.#listener = listener;
    this.#speaker.autoplay = true;
  }

  get hasMicrophone(): boolean {
    return this.#microphone.live;
  }

  prepare(): Promise<boolean> {
    return this.#microphone.prepare();
  }

  mute(muted: boolean): void {
    this.#muted = muted;
    this.#microphone.mute(muted);
  }

  join(incident: string): void {
    if (this.incident === incident) return;
    if (this.incident !== null) this.leave();
    this.incident = incident;
    this.#closing = false;
    this.#tries = 0;
    void this.#offer("connecting");
  }

  leave(): void {
    const left = this.incident;
    this.giveWay();
    if (left === null) return;
    hangUp(left, legOf(left));
    forget(left);
  }

  giveWay(): void {
    this.incident = null;
    this.#drop();
    this.#become("idle");
  }

  closing(closing: boolean): void {
    this.#closing = closing;
    if (!closing && this.#pc?.connectionState !== "connected") this.again();
  }

  again(): void {
    if (this.incident !== null) void this.#offer("recovering");
  }

  async #offer(while_: VoiceState): Promise<void> {
    const incident = this.incident;
    if (incident === null) return;
    this.#drop();
    const pc = new RTCPeerConnection();
    this.#pc = pc;
    this.#become(while_);
    const current = (): boolean => this.#pc === pc;
    pc.ontrack = ({ streams, track }) => {
      this.#speaker.srcObject = streams[0] ?? new MediaStream([track]);
      void this.#speaker.play().catch(() => undefined);
    };
    pc.onconnectionstatechange = () => {
      if (current()) this.#moved(pc.connectionState);
    };
    try {
      const [prepared, iceServers] = await Promise.all([this.prepare(), relays()]);
      if (!current()) return;
      pc.setConfiguration({ iceServers });
      const microphone = prepared ? this.#microphone.stream : null;
      const [track] = microphone?.getAudioTracks() ?? [];
      if (microphone && track) pc.addTrack(track, microphone);
      else pc.addTransceiver("audio", { direction: "recvonly" });
      this.mute(this.#muted);
      await pc.setLocalDescription();
      await gathered(pc);
      const answer = await fetch(`/console/incidents/${encodeURIComponent(incident)}/voice`, {
        method: "POST",
        headers: { "Content-Type": "application/sdp", "Leg-Id": legOf(incident) },
        body: pc.localDescription?.sdp ?? "",
      });
      if (!current()) return pc.close();
      if (!answer.ok) throw new Error(`voice answer ${answer.status}`);
      await pc.setRemoteDescription({ type: "answer", sdp: await answer.text() });
      if (current()) this.#look(pc);
    } catch {
      if (current()) this.#later();
    }
  }

  #moved(state: RTCPeerConnectionState): void {
    if (state === "connected") {
      this.#lostAt = null;
      this.#become(this.hasMicrophone ? "connected" : "no_microphone");
    } else if (state === "failed" || state === "closed") this.#later();
    else if (state === "disconnected") this.#lostAt ??= performance.now();
  }

  /** Once a second: does sound still come in? */
  #look(pc: RTCPeerConnection): void {
    this.#received = 0;
    this.#receivedAt = performance.now();
    this.#watch = setInterval(() => void this.#measure(pc), 1000);
  }

  async #measure(pc: RTCPeerConnection): Promise<void> {
    const report = await pc.getStats();
    if (this.#pc !== pc) return;
    let packets = 0;
    report.forEach((entry: { type: string; kind?: string; packetsReceived?: number; audioLevel?: number }) => {
      if (entry.type !== "inbound-rtp" || entry.kind !== "audio") return;
      packets += entry.packetsReceived ?? 0;
      this.#listener.level(entry.audioLevel ?? 0);
    });
    const now = performance.now();
    if (packets > this.#received) {
      [this.#received, this.#receivedAt, this.#tries] = [packets, now, 0];
    }
    const silent = this.#received > 0 && now - this.#receivedAt > SILENT_AFTER_MS;
    const lost = this.#lostAt !== null && now - this.#lostAt > SILENT_AFTER_MS;
    const never = pc.connectionState !== "connected" && now - this.#receivedAt > 3 * SILENT_AFTER_MS;
    if (silent || lost || never) this.#later();
  }

  #later(): void {
    if (this.#closing) return;
    this.#drop();
    this.#become(this.#tries > 4 ? "failed" : "recovering");
    const pause = this.#tries === 0 ? 0 : Math.min(LONGEST_PAUSE_MS, 250 * 2 ** this.#tries);
    this.#tries += 1;
    this.#retry = setTimeout(() => void this.#offer(this.#tries > 4 ? "failed" : "recovering"), pause);
  }

  #drop(): void {
    clearInterval(this.#watch);
    clearTimeout(this.#retry);
    this.#lostAt = null;
    const pc = this.#pc;
    this.#pc = null;
    pc?.close();
    this.#listener.level(0);
  }

  #become(state: VoiceState): void {
    this.#state = state;
    this.#listener.changed(this.#state, this.#pc);
  }
}

/** Relays for whom UDP does not reach; without an answer in time the call goes without them. */
async function relays(): Promise<RTCIceServer[]> {
  try {
    const answer = await fetch("/console/ice", { signal: AbortSignal.timeout(1000) });
    return answer.ok ? ((await answer.json()) as { iceServers: RTCIceServer[] }).iceServers : [];
  } catch {
    return [];
  }
}

/** All candidates are in the offer, or those that came within the limit: the service does not trickle. */
function gathered(pc: RTCPeerConnection): Promise<void> {
  if (pc.iceGatheringState === "complete") return Promise.resolve();
  return new Promise((resolve) => {
    const limit = setTimeout(resolve, GATHER_WITHIN_MS);
    pc.addEventListener("icegatheringstatechange", () => {
      if (pc.iceGatheringState !== "complete") return;
      clearTimeout(limit);
      resolve();
    });
  });
}
