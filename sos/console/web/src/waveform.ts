/**
 * The last half minute of a leg's loudness, and how it is drawn.  Pure: what is painted on is handed in.
 *
 * Ten readings a second come over the socket.  A picture that moves on is shifted by what is new and only that is
 * painted, so three legs cost a small part of a percent of a core.
 */

export const READINGS_PER_S = 10;
export const SECONDS = 30;
export const LENGTH = SECONDS * READINGS_PER_S;
/** Width of one reading on the canvas. */
export const STEP = 2;
export const HEIGHT = 28;
export const WIDTH = LENGTH * STEP;

const QUIETEST_DBOV = -60;
const NOTHING_DBOV = -127;

export interface Reading {
  /** dBov, 0 the loudest there can be; -127 nothing. */
  rms: number;
  peak: number;
  speaking: boolean;
}

const SILENCE: Reading = { rms: NOTHING_DBOV, peak: NOTHING_DBOV, speaking: false };

/** A ring of readings, one for each tenth of a second; tenths in which none came are silent. */
export class Rolling {
  readonly #ring: Reading[] = Array.from({ length: LENGTH }, () => SILENCE);
  #newest = -1;
  #spoke = -1;

  /** The number of the newest tenth of a second; -1 before there is one. */
  get newest(): number {
    return this.#newest;
  }

  /** Take what was heard at `at_ms` of any clock that only goes forward. */
  push(at_ms: number, reading: Reading): void {
    const tenth = Math.floor((at_ms * READINGS_PER_S) / 1000);
    if (tenth < this.#newest) return;
    const first = Math.max(this.#newest + 1, tenth - LENGTH + 1);
    for (let missing = first; missing < tenth; missing += 1) this.#ring[missing % LENGTH] = SILENCE;
    this.#ring[tenth % LENGTH] = tenth === this.#newest ? louder(this.at(tenth), reading) : reading;
    this.#newest = tenth;
    if (reading.speaking) this.#spoke = tenth;
  }

  /** The reading of a tenth of a second; silence for one that is too old, or to come. */
  at(tenth: number): Reading {
    const kept = tenth >= 0 && tenth <= this.#newest && tenth > this.#newest - LENGTH;
    return kept ? (this.#ring[tenth % LENGTH] ?? SILENCE) : SILENCE;
  }

  /** Whether somebody speaks just now. */
  get speaking(): boolean {
    return this.#newest >= 0 && this.at(this.#newest).speaking;
  }

  /** Whole seconds since somebody spoke last; null when nobody did in the time that is kept. */
  get silent_s(): number | null {
    if (this.#spoke < 0 || this.#newest - this.#spoke >= LENGTH) return null;
    return Math.floor((this.#newest - this.#spoke) / READINGS_PER_S);
  }
}

/** Two readings of the same tenth of a second. */
function louder(one: Reading, other: Reading): Reading {
  return {
    rms: Math.max(one.rms, other.rms),
    peak: Math.max(one.peak, other.peak),
    speaking: one.speaking || other.speaking,
  };
}

/** How high a loudness stands, 0 to 1. */
export function height(dbov: number): number {
  return Math.min(1, Math.max(0, 1 - dbov / QUIETEST_DBOV));
}

/** What of a canvas is used. */
export interface Surface {
  fillStyle: string | CanvasGradient | CanvasPattern;
  fillRect(x: number, y: number, width: number, height: number): void;
  /** Move what is painted to the left. */
  shift(pixels: number): void;
}

export interface Colours {
  ground: string;
  speaking: string;
  peak: string;
  /** The mean, where somebody speaks and where nobody does. */
  voice: string;
  noise: string;
}

/** Paints one `Rolling` again and again on the same surface. */
export class Painter {
  #painted = -1;

  constructor(
    readonly surface: Surface,
    readonly colours: Colours,
  ) {}

  /** Bring the picture up to date; how many tenths of a second were painted. */
  paint(rolling: Rolling): number {
    const fresh = this.#painted < 0 ? LENGTH : Math.min(LENGTH, rolling.newest - this.#painted);
    if (fresh <= 0) return 0;
    if (fresh < LENGTH) this.surface.shift(fresh * STEP);
    for (let age = fresh - 1; age >= 0; age -= 1) this.#bar(rolling.at(rolling.newest - age), WIDTH - (age + 1) * STEP);
    this.#painted = rolling.newest;
    return fresh;
  }

  #bar({ rms, peak, speaking }: Reading, x: number): void {
    const { ground, speaking: shade, peak: light, voice, noise } = this.colours;
    this.#rect(speaking ? shade : ground, x, HEIGHT);
    this.#rect(light, x, Math.round(height(peak) * HEIGHT));
    this.#rect(speaking ? voice : noise, x, Math.max(1, Math.round(height(rms) * HEIGHT)));
  }

  /** Around the middle line. */
  #rect(colour: string, x: number, high: number): void {
    if (high === 0) return;
    this.surface.fillStyle = colour;
    this.surface.fillRect(x, (HEIGHT - high) / 2, STEP, high);
  }
}
