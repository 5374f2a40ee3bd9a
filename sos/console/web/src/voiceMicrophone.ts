/** The operator's microphone: asked for once, kept for the whole shift, so that no call waits for it. */

const WANTED: MediaStreamConstraints = {
  audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
};

export class Microphone {
  stream: MediaStream | null = null;

  get live(): boolean {
    return this.stream?.getAudioTracks().some((track) => track.readyState === "live") ?? false;
  }

  /** Have it, or false when there is none or it was refused. */
  async prepare(): Promise<boolean> {
    if (this.live) return true;
    try {
      this.stream = await navigator.mediaDevices.getUserMedia(WANTED);
    } catch {
      this.stream = null;
    }
    return this.live;
  }

  mute(muted: boolean): void {
    for (const track of this.stream?.getAudioTracks() ?? []) track.enabled = !muted;
  }

  /** A stream for somebody who ends what it is given: a copy, or silence where there is no microphone. */
  async lend(): Promise<MediaStream> {
    if (await this.prepare()) return this.stream!.clone();
    return new AudioContext().createMediaStreamDestination().stream;
  }
}
