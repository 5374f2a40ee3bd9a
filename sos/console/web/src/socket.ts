/**
 * The one connection to the service.  It comes back by itself, asks for what it missed, and proves every five seconds
 * that the desk is alive.  Voice does not run here and goes on while this is away.
 */

import type { Fault, FromServer, Order } from "./protocol";

const LONGEST_PAUSE_MS = 3000;
const ANSWER_WITHIN_MS = 10_000;
/** Without a beat of the service for so long the connection is taken for dead, whatever the browser thinks. */
const DEAD_AFTER_MS = 16_000;

export class OrderRefused extends Error {
  constructor(readonly fault: Fault) {
    super(fault.detail || fault.title);
  }
}

interface Listener {
  frames(frames: readonly FromServer[]): void;
  /** `up` is false while there is no connection; `tries` counts attempts since the last one that worked. */
  link(up: boolean, tries: number): void;
  /** The position after which events are wanted; null asks for a snapshot. */
  after(): number | null;
}

interface Waiting {
  resolve(result: unknown): void;
  reject(reason: OrderRefused): void;
  timer: ReturnType<typeof setTimeout>;
}

export class DeskSocket {
  #socket: WebSocket | null = null;
  #next = 1;
  #tries = 0;
  #stopped = false;
  /** Somebody has pressed a key or moved the pointer since the last beat. */
  touched = false;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #batch: FromServer[] = [];
  /** When the service last beat on this connection; null until it has done so once. */
  #lastBeat: number | null = null;
  readonly #waiting = new Map<number, Waiting>();
  readonly #beat: Worker;
  readonly #listener: Listener;

  constructor(listener: Listener) {
    this.#listener = listener;
    this.#beat = new Worker(new URL("./beat.worker.ts", import.meta.url), { type: "module" });
    this.#beat.onmessage = () => this.#beaten();
  }

  get open(): boolean {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  connect(): void {
    clearTimeout(this.#retry);
    this.#stopped = false;
    const after = this.#listener.after();
    const url = new URL("/console/socket", location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    if (after !== null) url.searchParams.set("after", String(after));
    const socket = new WebSocket(url);
    this.#socket = socket;
    this.#lastBeat = null;
    socket.onmessage = (message) => this.#receive(JSON.parse(message.data as string) as FromServer);
    socket.onclose = () => this.#lost(socket);
  }

  /** Throw the connection away and come back, with whatever `after` says then. */
  reconnect(): void {
    const old = this.#socket;
    this.#socket = null;
    old?.close();
    this.#listener.link(false, 0);
    this.connect();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#retry);
    this.#socket?.close();
  }

  /** Ask for something and wait for the answer; `OrderRefused` when the service says no, or says nothing. */
  order(order: Order): Promise<unknown> {
    if (!this.open) return Promise.reject(new OrderRefused(OFFLINE_FAULT));
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#settle(id)?.reject(OFFLINE), ANSWER_WITHIN_MS);
      this.#waiting.set(id, { resolve, reject, timer });
      this.#send({ id, ...order });
    });
  }

  #beaten(): void {
    if (!this.open) return;
    if (this.#lastBeat !== null && Date.now() - this.#lastBeat > DEAD_AFTER_MS) this.reconnect();
    else {
      this.#send({ id: this.#next++, do: "beat", touched: this.touched });
      this.touched = false;
    }
  }

  #send(frame: object): void {
    this.#socket?.send(JSON.stringify(frame));
  }

  #settle(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    clearTimeout(waiting?.timer);
    return waiting;
  }

  #receive(frame: FromServer): void {
    if (frame.t === "beat") this.#lastBeat = Date.now();
    if (frame.t === "welcome") {
      this.#tries = 0;
      this.#listener.link(true, 0);
    }
    if (frame.t === "reply") {
      this.#flush();
      const waiting = this.#settle(frame.id);
      if (frame.ok || frame.error === null) waiting?.resolve(frame.result);
      else waiting?.reject(new OrderRefused(frame.error));
      return;
    }
    if (this.#batch.push(frame) === 1) {
      if (document.hidden) this.#flush();
      else setTimeout(() => this.#flush(), 16);
    }
  }

  /** Frames are handed on in batches: a burst of events costs one drawing, not one each. */
  #flush(): void {
    const batch = this.#batch;
    this.#batch = [];
    if (batch.length > 0) this.#listener.frames(batch);
  }

  #lost(socket: WebSocket): void {
    if (socket !== this.#socket) return;
    this.#flush();
    for (const id of [...this.#waiting.keys()]) this.#settle(id)?.reject(OFFLINE);
    this.#tries += 1;
    this.#listener.link(false, this.#tries);
    if (this.#stopped) return;
    const pause = Math.min(LONGEST_PAUSE_MS, 150 * 2 ** Math.min(this.#tries, 6)) * (0.5 + Math.random() / 2);
    this.#retry = setTimeout(() => this.connect(), pause);
  }
}

const OFFLINE_FAULT: Fault = { type: "offline", title: "offline", detail: "", code: "", words: ["", ""] };

const OFFLINE = new OrderRefused(OFFLINE_FAULT);
