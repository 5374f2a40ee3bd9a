/** A desk that talks on its telephone: the service calls it, and this page only knows that it does. */

import type { DeskVoice, Listener } from "./voice";

export class TelephoneVoice implements DeskVoice {
  incident: string | null = null;
  readonly hasMicrophone = true;
  readonly #listener: Listener;
  readonly #there: boolean;

  /** `there`: the desk has a telephone; without one it cannot talk at all, and the operator is told so. */
  constructor(listener: Listener, there: boolean) {
    this.#listener = listener;
    this.#there = there;
  }

  prepare(): Promise<boolean> {
    return Promise.resolve(this.#there);
  }

  join(incident: string): void {
    this.incident = incident;
    this.#listener.changed(this.#there ? "telephone" : "failed", null);
  }

  leave(): void {
    this.incident = null;
    this.#listener.changed("idle", null);
  }

  /** The telephone is the leg, whichever window shows it. */
  giveWay(): void {}
  mute(): void {}
  closing(): void {}
  again(): void {}
}
