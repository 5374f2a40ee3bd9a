/**
 * The ring tone, made by Web Audio: no files to load, and the context is made inside the "start work" click, because
 * one that is made later stays suspended.  Patterns follow IEC 60601-1-8: high is 3+2 pulses, medium 3, low 1.
 */

import type { Ring } from "./rules";

interface Pattern {
  pulses: readonly number[];
  /** Fundamental of each pulse, in Hz; the harmonics that make it audible in a noisy room come on top. */
  gaps_s: readonly number[];
  length_s: number;
  level: number;
  every_ms: number;
}

const C4 = 261.63;
const PATTERNS: Readonly<Record<Exclude<Ring, null>, Pattern>> = {
  high: {
    pulses: [C4 * 2, C4 * 2, C4 * 2, C4 * 3, C4 * 2],
    gaps_s: [0, 0.2, 0.4, 0.75, 0.95],
    length_s: 0.14,
    level: 0.3,
    every_ms: 2500,
  },
  medium: { pulses: [C4 * 1.5, C4 * 1.25, C4], gaps_s: [0, 0.25, 0.5], length_s: 0.18, level: 0.22, every_ms: 4000 },
  /** In the ear of somebody who talks. */
  soft: { pulses: [C4 * 1.5], gaps_s: [0], length_s: 0.2, level: 0.05, every_ms: 8000 },
  low: { pulses: [C4], gaps_s: [0], length_s: 0.2, level: 0.12, every_ms: 16000 },
};
const HARMONICS = [1, 0.6, 0.5, 0.4, 0.3] as const;

export class Ringer {
  #context: AudioContext | null = null;
  #playing: Ring = null;
  #timer: ReturnType<typeof setInterval> | undefined;
  #silentUntil = 0;
  /** How often anything has sounded. */
  played = 0;

  /** Call inside a click: makes the sound path and plays one test tone. */
  async start(): Promise<void> {
    this.#context ??= new AudioContext();
    await this.#context.resume();
    this.#play(PATTERNS.low);
  }

  get audible(): boolean {
    return this.#context?.state === "running";
  }

  /** Ring so from now on; the same pattern again changes nothing. */
  ring(pattern: Ring): void {
    if (pattern === this.#playing) return;
    const louder = pattern === "high" && this.#playing !== "high";
    this.#playing = pattern;
    clearInterval(this.#timer);
    if (pattern === null) return;
    const { every_ms } = PATTERNS[pattern];
    const sound = (): void => {
      if (Date.now() >= this.#silentUntil) this.#play(PATTERNS[pattern]);
    };
    if (louder) this.#silentUntil = 0;
    sound();
    this.#timer = setInterval(sound, every_ms);
  }

  /** A short soft tick in the ear: something happened while the operator talks. */
  tick(): void {
    this.#play(PATTERNS.soft);
  }

  /** Quiet for 30 s; a new call sounds again. */
  silence(): void {
    this.#silentUntil = Date.now() + 30_000;
  }

  wake(): void {
    this.#silentUntil = 0;
  }

  #play(pattern: Pattern): void {
    const context = this.#context;
    if (context === null) return;
    void context.resume();
    this.played += 1;
    pattern.pulses.forEach((hertz, index) => {
      const begin = context.currentTime + 0.02 + (pattern.gaps_s[index] ?? 0);
      const envelope = new GainNode(context, { gain: 0 });
      envelope.connect(context.destination);
      envelope.gain.setValueAtTime(0, begin);
      envelope.gain.linearRampToValueAtTime(pattern.level, begin + 0.02);
      envelope.gain.setValueAtTime(pattern.level, begin + pattern.length_s - 0.03);
      envelope.gain.linearRampToValueAtTime(0, begin + pattern.length_s);
      const imag = new Float32Array([0, ...HARMONICS]);
      const periodicWave = new PeriodicWave(context, { real: new Float32Array(imag.length), imag });
      const tone = new OscillatorNode(context, { type: "custom", periodicWave, frequency: hertz });
      tone.connect(envelope);
      tone.start(begin);
      tone.stop(begin + pattern.length_s);
    });
  }
}
