/** What this desk hears of its calls beside the call itself: how loud each leg is, what was said, what is heard again. */

import { t } from "./i18n.svelte";
import type { FromServer, TranscriptLine } from "./protocol";
import { Rolling } from "./waveform";

export type Levels = Extract<FromServer, { t: "levels" }>;

export const REPLAY_S = 15;

/** Every reading is kept; meters and lamps move four times a second, since each picture costs more than it tells. */
const SHOWN_EVERY_MS = 250;

/** A piece of a leg's sound that is heard again here, and nowhere else: it never plays into the call. */
export interface Again {
  incident: string;
  leg: string;
  /** Null while it is on its way. */
  url: string | null;
}

export class Sound {
  /** How loud each leg was a moment ago, of the incident that the service told of last. */
  levels = $state.raw<Levels | null>(null);
  again = $state.raw<Again | null>(null);
  /** By incident: what a machine has written down. */
  transcripts = $state.raw<ReadonlyMap<string, readonly TranscriptLine[]>>(new Map());
  readonly #rolling = new Map<string, Rolling>();
  #shown_ms = -Infinity;

  constructor(readonly complain: (text: string) => void) {}

  loud(frame: Levels): void {
    const now = performance.now();
    for (const [leg, [rms, peak, speaking = false]] of Object.entries(frame.legs))
      this.rolling(leg).push(now, { rms, peak, speaking });
    if (now - this.#shown_ms < SHOWN_EVERY_MS) return;
    this.#shown_ms = now;
    this.levels = frame;
  }

  rolling(leg: string): Rolling {
    let known = this.#rolling.get(leg);
    if (known === undefined) this.#rolling.set(leg, (known = new Rolling()));
    return known;
  }

  written({ incident, lines }: Extract<FromServer, { t: "transcript" }>): void {
    this.transcripts = new Map([...this.transcripts, [incident, lines]]);
  }

  /** Fetch the last seconds of a leg and play them at this desk. */
  async replay(incident: string, leg: string): Promise<void> {
    this.silence();
    const wanted: Again = { incident, leg, url: null };
    this.again = wanted;
    const path = `/console/incidents/${encodeURIComponent(incident)}/replay/${encodeURIComponent(leg)}`;
    const answer = await fetch(`${path}?seconds=${REPLAY_S}`).catch(() => null);
    if (this.again !== wanted) return;
    if (answer?.ok !== true) {
      this.again = null;
      this.complain(t("replay.failed"));
      return;
    }
    const sound = await answer.blob();
    if (this.again === wanted) this.again = { ...wanted, url: URL.createObjectURL(sound) };
  }

  /** Stop what is heard again and forget it. */
  silence(): void {
    if (this.again?.url) URL.revokeObjectURL(this.again.url);
    this.again = null;
  }

  /** An incident is closed: nothing of what was said stays in this page. */
  forget(incident: string, legs: readonly string[]): void {
    if (this.again?.incident === incident) this.silence();
    for (const leg of legs) this.#rolling.delete(leg);
    if (this.transcripts.has(incident))
      this.transcripts = new Map([...this.transcripts].filter(([known]) => known !== incident));
  }
}
