import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { VoiceState } from "./voice";
import { SdkVoice, TOKEN_FAULTS, type Grant, type SdkCall, type SdkDevice, type Source } from "./voiceSdk";

/** Twilio's `Call`, as badly behaved as it can be. */
class Call implements SdkCall {
  readonly #hears = new Map<string, ((...told: never[]) => void)[]>();
  state = "connecting";
  disconnected = 0;
  muted = false;

  on(event: string, hear: (...told: never[]) => void): void {
    this.#hears.set(event, [...(this.#hears.get(event) ?? []), hear]);
  }

  emit(event: string, ...told: unknown[]): void {
    if (event === "accept") this.state = "open";
    if (["disconnect", "cancel", "reject"].includes(event)) this.state = "closed";
    for (const hear of this.#hears.get(event) ?? []) hear(...(told as never[]));
  }

  disconnect(): void {
    this.disconnected += 1;
    this.emit("disconnect", this);
    this.emit("disconnect", this); // it has been seen twice
  }

  mute(muted: boolean): void {
    this.muted = muted;
  }

  status(): string {
    return this.state;
  }
}

class Device implements SdkDevice {
  readonly #hears = new Map<string, (...told: never[]) => void>();
  readonly calls: Call[] = [];
  readonly params: Record<string, string>[] = [];
  readonly tokens: string[];
  fails: unknown = null;
  hangs = false;
  destroyed = false;

  constructor(
    grant: Grant,
    readonly options: Record<string, unknown>,
  ) {
    this.tokens = [grant.token];
  }

  on(event: string, hear: (...told: never[]) => void): void {
    this.#hears.set(event, hear);
  }

  emit(event: string, ...told: unknown[]): void {
    this.#hears.get(event)?.(...(told as never[]));
  }

  connect({ params }: { params: Record<string, string> }): Promise<Call> {
    this.params.push(params);
    if (this.hangs) return new Promise(() => undefined);
    if (this.fails !== null) return Promise.reject(this.fails as Error);
    const call = new Call();
    this.calls.push(call);
    return Promise.resolve(call);
  }

  updateToken(token: string): void {
    this.tokens.push(token);
  }

  destroy(): void {
    this.destroyed = true;
  }
}

class House {
  readonly states: VoiceState[] = [];
  readonly levels: number[] = [];
  readonly devices: Device[] = [];
  readonly hungUp: string[] = [];
  live = true;
  granted = 0;
  refuses = 0;
  prepares: (device: Device) => void = () => undefined;
  readonly voice = new SdkVoice(
    { changed: (state) => this.states.push(state), level: (level) => this.levels.push(level) },
    {
      microphone: this.#microphone(),
      grant: () => {
        if (this.refuses-- > 0) return Promise.reject(new Error("voice token 503"));
        return Promise.resolve({ token: `t${(this.granted += 1)}`, edges: ["tokyo", "roaming"] });
      },
      make: (grant, options) => {
        const device = new Device(grant, options);
        this.prepares(device);
        this.devices.push(device);
        return Promise.resolve(device);
      },
      hangUp: (_, leg) => this.hungUp.push(leg),
    },
  );

  #microphone(): Source {
    const house = this;
    return {
      get live() {
        return house.live;
      },
      prepare: () => Promise.resolve(house.live),
      lend: () => Promise.reject(new Error("no sound in this test")),
    };
  }

  get device(): Device {
    return this.devices.at(-1)!;
  }

  get call(): Call {
    return this.device.calls.at(-1)!;
  }

  /** In the call. */
  async talking(): Promise<this> {
    this.voice.join("i1");
    await passed(0);
    this.call.emit("accept");
    expect(this.states.at(-1)).toBe("connected");
    return this;
  }
}

const passed = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);

beforeEach(() => {
  vi.useFakeTimers();
  const kept = new Map<string, string>();
  vi.stubGlobal("sessionStorage", {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => kept.set(key, value),
    removeItem: (key: string) => kept.delete(key),
  });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test("the desk joins with its leg and its incident, opus first, at the edges that the service names", async () => {
  const house = new House();
  await house.talking();

  expect(house.states).toEqual(["connecting", "connected"]);
  expect(house.device.params).toEqual([{ incident: "i1", leg: expect.stringMatching(/^[0-9a-f-]{36}$/) as string }]);
  expect(house.device.options).toMatchObject({ edge: ["tokyo", "roaming"], codecPreferences: ["opus", "pcmu"] });
  expect(house.device.options.publishEvents).toBe(false);
});

test("SDK and token are there before the first call, and asked for once", async () => {
  const house = new House();
  await house.voice.prepare();
  await passed(0);
  await house.talking();

  expect([house.devices.length, house.granted]).toEqual([1, 1]);
});

test("a token that will expire is replaced while the call goes on, however often the door refuses", async () => {
  const house = await new House().talking();
  house.refuses = 2;

  house.device.emit("tokenWillExpire");
  await passed(11_000);

  expect(house.device.tokens).toEqual(["t1", "t2"]);
  expect(house.states.at(-1)).toBe("connected");
});

test.each([...TOKEN_FAULTS])("a token that is not believed (%i) is replaced before the next try", async (code) => {
  const house = new House();
  house.prepares = (device) => (device.fails = { code });
  house.voice.join("i1");
  await passed(0);
  house.device.fails = null;
  await passed(5_000);
  house.call.emit("accept");

  expect(house.device.tokens.length).toBeGreaterThan(1);
  expect(house.states.at(-1)).toBe("connected");
});

test.each([31005, 53000, 53405])("a call that breaks off (%i) is called again under another leg", async (code) => {
  const house = await new House().talking();
  const first = house.call;

  house.device.emit("error", { code }, first);
  first.emit("error", { code });
  first.emit("disconnect", first);
  first.emit("disconnect", first);
  await passed(0);
  house.call.emit("accept");

  expect(house.device.calls.length).toBe(2);
  expect(new Set(house.device.params.map(({ leg }) => leg)).size).toBe(2);
  expect(house.states).toEqual(["connecting", "connected", "recovering", "recovering", "connected"]);
});

test("an error that the call survives changes nothing", async () => {
  const house = await new House().talking();

  house.device.emit("error", { code: 53000 });
  house.call.emit("error", { code: 31005 });
  house.call.emit("error", "no object at all");
  await passed(60_000);

  expect(house.device.calls.length).toBe(1);
  expect(house.states).toEqual(["connecting", "connected"]);
});

test("the SDK's own mending is shown, and a new call is made when it takes too long", async () => {
  const house = await new House().talking();
  const first = house.call;

  first.emit("reconnecting", { code: 53405 });
  await passed(9_000);
  first.emit("reconnected");
  first.emit("warning", "low-bytes-received");
  await passed(10_500);
  house.call.emit("accept");

  expect(house.states).toEqual(
    ["connecting", "connected", "recovering", "connected", "recovering", "recovering", "recovering", "connected"],
  );
  expect(first.disconnected).toBe(1);
});

test("a Twilio that takes the call and never answers is tried again, and begun afresh", async () => {
  const house = new House();
  house.prepares = (device) => (device.hangs = house.devices.length === 0);
  house.voice.join("i1");

  await passed(60_000);
  house.call.emit("accept");

  expect(house.devices[0]!.destroyed).toBe(true);
  expect(house.states.at(-1)).toBe("connected");
});

test("nobody is told it works when it never does", async () => {
  const house = new House();
  house.prepares = (device) => (device.fails = { code: 53000 });
  house.voice.join("i1");

  await passed(120_000);

  expect(house.states.at(-1)).toBe("failed");
  expect(house.states).not.toContain("connected");
});

test("whatever an earlier call says later is nobody's business", async () => {
  const house = await new House().talking();
  const first = house.call;
  first.emit("disconnect", first);
  await passed(0);
  house.call.emit("accept");
  const before = [...house.states];

  for (const event of ["disconnect", "accept", "reconnecting", "cancel", "reject", "volume"]) first.emit(event, 1, 1);

  expect(house.states).toEqual(before);
  expect(house.device.calls.length).toBe(2);
});

test("leaving hangs up by the service's order and comes back by itself no more", async () => {
  const house = await new House().talking();
  const { leg } = house.device.params[0]!;

  house.voice.leave();
  await passed(60_000);

  expect(house.hungUp).toEqual([leg]);
  expect(house.call.disconnected).toBe(1);
  expect(house.states.at(-1)).toBe("idle");
  expect(house.device.calls.length).toBe(1);
});

test("an end that the service makes while closing is no reason to call again, and one that was not closed is", async () => {
  const house = await new House().talking();

  house.voice.closing(true);
  house.call.emit("disconnect");
  await passed(60_000);
  expect(house.device.calls.length).toBe(1);

  house.voice.closing(false);
  await passed(0);
  expect(house.device.calls.length).toBe(2);
});

test("a restart of the service leaves a call alone that is at Twilio", async () => {
  const house = await new House().talking();

  house.voice.again();
  await passed(20_000);

  expect(house.device.calls.length).toBe(1);
});

test("muted stays muted in the next call", async () => {
  const house = await new House().talking();
  house.voice.mute(true);
  house.call.emit("disconnect");
  await passed(0);

  expect(house.call.muted).toBe(true);
});

test("a desk without a microphone hears, and says so", async () => {
  const house = new House();
  house.live = false;
  house.voice.join("i1");
  await passed(0);
  house.call.emit("accept");
  house.call.emit("volume", 0, 0.4);

  expect(house.states.at(-1)).toBe("no_microphone");
  expect(house.levels.at(-1)).toBe(0.4);
});
