/**
 * The desk: what the operator sees and can do, tied together.  Facts come from the socket through `board.ts`; choices
 * of this screen (what is selected, which dialog is open) live here; views only draw and call.
 */

import { alarms, louder, sound, type Row } from "./alarms";
import { apply, EMPTY, timeline, type Board, type History } from "./board";
import { alone, consulting, legUp, shown } from "./calls";
import { language, t, word, type Key } from "./i18n.svelte";
import { NONE, alarmed, sound as massSound } from "./massEvents";
import type { AgencySaid, Answered, DisclosureRequest, NoteCategory } from "./offered";
import type {
  Agency,
  Category,
  AnswerAction,
  CardQuestion,
  CrashView,
  DeclineReason,
  Disposition,
  Due,
  EarlierCalls,
  EmergencyKind,
  EventFrame,
  Fact,
  Fault,
  FoundIncident,
  FromServer,
  Happened,
  Health,
  Incident,
  Leg,
  MassEventsTold,
  Match,
  MedicalSource,
  OpenRequest,
  Order,
  Purpose,
  RefusalReason,
  SaidHow,
  SearchResult,
  Service,
  Share,
  TakeoverReason,
  Shown,
  WaitReason,
  Welcome,
} from "./protocol";
import { concerns } from "./oneCrash";
import { Ringer } from "./ringer";
import { card, choices, known, letIn, lineOf, ring, sections, toBring, unread, unrecorded, urgency, type Answers } from "./rules";
import { answerable, callsBack, talking, waiting } from "./state";
import { DeskSocket, OrderRefused } from "./socket";
import { Sound } from "./sound.svelte";
import { legOf, type DeskVoice, type VoiceState } from "./voice";
import { voiceBy, type Way } from "./voiceBy";

export type Phase = "checking" | "login" | "start" | "work";
export type Dialog =
  | { of: "forward"; agency: string; update?: boolean; join?: boolean }
  | { of: "conference"; agency: string }
  | { of: "close" }
  | { of: "decline" }
  | { of: "reopen" }
  | { of: "open" }
  | { of: "recording" }
  | { of: "owed" }
  | { of: "find" }
  | { of: "requests" }
  | { of: "mass"; mass_event: string | null }
  | { of: "keys" }
  | { of: "logout" }
  | { of: "agencies" }
  | null;

/** Why the log-in ended, for the page that comes after it. */
const ENDED = "sos-ended";

const FAULT_LASTS_MS = 8000;
const REFILL_BELOW = 50;
const REFILL_EVERY_MS = 10_000;

/** What one press adds to the no-response clock. */
const LONGER_S = 30;

class Desk {
  board = $state.raw<Board>(EMPTY);
  phase = $state<Phase>("checking");
  me = $state.raw<Welcome | null>(null);
  linked = $state(false);
  /** The operator works at this desk in another window: this one looks on, without ring tone and without voice. */
  elsewhere = $state(false);
  ready = $state(true);
  serverHealth = $state.raw<Readonly<Record<string, Health>>>({});
  serverWaiting = $state(0);
  massEvents = $state.raw<MassEventsTold>(NONE);
  selected = $state<string | null>(null);
  dialog = $state.raw<Dialog>(null);
  fault = $state<string | null>(null);
  /** All cars of a crash, as they were last shown. */
  crash = $state.raw<CrashView | null>(null);
  /** The agency that may be told only after a second look, and why. */
  warned = $state<{ agency: string; why: string } | null>(null);
  loginFault = $state<string | null>(null);
  /** The service wants the second factor too. */
  factorWanted = $state(false);
  /** What a screen reader says at once; the same words twice are said twice. */
  announcement = $state.raw({ text: "", times: 0 });
  said = $state("");
  voice = $state<VoiceState>("idle");
  level = $state(0);
  readonly sound = new Sound((text) => this.#complain(text));
  muted = $state(false);
  microphone = $state(false);
  /** Incidents of this operator whose call goes on without this desk. */
  out = $state.raw<ReadonlySet<string>>(leftBefore());
  audible = $state(false);
  now = $state(Date.now());

  sections = $derived(sections(this.board.incidents.values(), this.me?.operator.id ?? ""));
  alarms = $derived(alarms(this.board.incidents.values(), this.me?.operator.supervisor ?? false, this.me?.operator.id));
  unrecorded = $derived(unrecorded(this.board.degraded.values()));
  incident = $derived<Incident | null>(this.board.incidents.get(this.selected ?? "") ?? null);
  known = $derived(known(this.board.parts.get(this.selected ?? "") ?? []));
  /** Category to why something of it cannot be shown: help goes on with the rest. */
  unreadable = $derived(this.board.unreadable.get(this.selected ?? "") ?? {});
  timeline = $derived<readonly Happened[]>(this.selected === null ? [] : timeline(this.board, this.selected));
  answers = $derived<Answers>(this.known.answers);
  /** What is asked for the kind of emergency that it is. */
  card = $derived<readonly CardQuestion[]>(
    this.incident === null ? [] : card(this.me?.cards, this.incident.tenant, this.incident.kind),
  );
  mine = $derived(this.incident !== null && this.incident.operator === this.me?.operator.id);
  /** Whether this operator may hear the call again. */
  hears = $derived(this.mine || (this.me?.operator.supervisor ?? false));
  /** Incidents of which only what an offered call shows is here: they are not opened. */
  glanced = $state.raw<ReadonlySet<string>>(new Set());
  opened = $derived(this.board.parts.has(this.selected ?? "") && !this.glanced.has(this.selected ?? ""));
  waiting = $derived(
    this.board.total > this.board.incidents.size
      ? Math.max(this.serverWaiting, this.sections.waiting.length)
      : this.sections.waiting.length,
  );

  /** The code of a link that is still to be shown with a second factor. */
  #code = "";
  /** The log-in is over and the page goes. */
  #leaving = false;
  #ahead_ms = 0;
  #boot: string | undefined;
  /** The snapshot was cut short and has been worked off: the next one is wanted. */
  #stale = false;
  #staleAt = 0;
  #asked: Set<string> = new Set();
  #heard: ReadonlySet<string> = new Set();
  #alarmed: ReadonlySet<string> = new Set();
  #refresh: ReturnType<typeof setTimeout> | undefined;
  #looking: ReturnType<typeof setTimeout> | undefined;
  #crashLater: ReturnType<typeof setTimeout> | undefined;
  readonly #ringer = new Ringer();
  #way: Way = "webrtc";
  #voice: DeskVoice = this.#voiceBy(this.#way);
  readonly #socket = new DeskSocket({
    frames: (frames) => this.#take(frames),
    link: (up, tries) => this.#link(up, tries),
    after: () => (this.board.position < 0 || this.#stale ? null : this.board.position),
  });

  set announced(text: string) {
    this.announcement = { text, times: this.announcement.times + 1 };
  }

  /** Begin: with the code of the address, else with the session the browser still has, else by asking. */
  begin(): void {
    const ended = sessionStorage.getItem(ENDED);
    sessionStorage.removeItem(ENDED);
    if (ended !== null) this.loginFault = word("ended", ended);
    for (const sign of ["keydown", "pointerdown", "pointermove"])
      addEventListener(sign, () => (this.#socket.touched = true), { capture: true, passive: true });
    setInterval(() => (this.now = Date.now() + this.#ahead_ms), 500);
    if (!this.#enterByAddress()) this.#socket.connect();
    addEventListener("hashchange", () => this.#enterByAddress());
    addEventListener("beforeunload", (leaving) => {
      if (this.#voice.incident !== null && !this.#leaving) leaving.preventDefault();
    });
  }

  /** Whether the address held a code.  It works once, and is taken out of the address at once. */
  #enterByAddress(): boolean {
    if (location.hash === "") return false;
    const code = new URLSearchParams(location.hash.slice(1)).get("code");
    history.replaceState(null, "", location.pathname + location.search);
    if (code === null) return false;
    void this.#enter({ code });
    return true;
  }

  /** By the form: a desk token, and a second factor where one is wanted. */
  async login(token: string, factor = ""): Promise<void> {
    const shown = token === "" && this.#code !== "" ? { code: this.#code } : { token };
    await this.#enter(factor === "" ? shown : { ...shown, second_factor: factor });
  }

  async #enter(shown: Credential): Promise<void> {
    this.loginFault = null;
    const accepted = await entered(shown);
    if (accepted === "ok") {
      this.#code = "";
      this.phase = this.me === null ? "checking" : this.phase;
      this.#socket.reconnect();
      return;
    }
    if (accepted === "refused" && shown.code !== undefined && (await loggedIn())) {
      this.#socket.connect(); // a link that was used before, by this browser
      return;
    }
    this.#code = accepted === "factor" ? (shown.code ?? "") : "";
    this.factorWanted = accepted === "factor";
    this.phase = "login";
    const asked = accepted === "factor" && (shown.second_factor ?? "") === "";
    this.loginFault = asked ? t("login.factor.wanted") : t(REFUSALS[accepted]);
  }

  /** Whether the operator must still say who they are, or has only the second factor to give. */
  get codeHeld(): boolean {
    return this.factorWanted && this.#code !== "";
  }

  async logout(): Promise<void> {
    const answer = await fetch("/console/session", { method: "DELETE" }).catch(() => null);
    if (answer === null || answer.status >= 500) this.#complain(t("login.failed"));
    else if (answer.status === 409) this.#complain(t("logout.in_call"));
    else this.#leave("logged_out");
  }

  /** Nothing of what this page knew stays in it. */
  #leave(why: string): void {
    this.#leaving = true;
    this.#socket.stop();
    sessionStorage.setItem(ENDED, why);
    location.reload();
  }

  /** The click that begins the shift: makes the sound path, asks for the microphone, goes ready. */
  async start(): Promise<void> {
    await this.#ringer.start();
    this.audible = this.#ringer.audible;
    this.microphone = await this.#voice.prepare();
    this.phase = "work";
    this.workHere();
    void navigator.locks?.request("sos-desk", () => new Promise(() => undefined));
    void navigator.wakeLock?.request("screen").catch(() => undefined);
  }

  /** This window is the one the operator works in. */
  workHere(): void {
    this.elsewhere = false;
    this.#say({ do: this.ready ? "ready" : "away" });
    this.#ringing();
    this.#resume();
  }

  toggleReady(): void {
    this.ready = !this.ready;
    this.#say({ do: this.ready ? "ready" : "away" });
    this.#ringing();
  }

  select(id: string | null): void {
    this.selected = id;
    if (id !== null) this.#learn(id);
    if (id !== null && !this.board.parts.has(id) && this.#rings(this.incident)) this.#glance(id);
  }

  /** Whether a call rings at this desk and may be looked at before it is answered. */
  #rings(incident: Incident | null): incident is Incident {
    const here = incident !== null && (incident.desks.length === 0 || incident.desks.includes(this.me?.desk ?? ""));
    return here && this.phase === "work" && !this.elsewhere && this.#voice.incident === null && waiting(incident);
  }

  /** Look at a call that rings here, once for a burst of events; that it was looked at, and by whom, is on the record. */
  #glance(id: string): void {
    clearTimeout(this.#looking);
    this.#looking = setTimeout(() => {
      if (this.selected !== id || !this.#rings(this.incident) || this.#openedHere(this.incident)) return;
      this.glanced = new Set([...this.glanced, id]);
      void this.#askQuietly({ do: "open", incident: id, purpose: "offered" });
    }, 120);
  }

  /** Whether this operator has opened it to work on it: what was seen while it rang does not count. */
  #openedHere(incident: Incident): boolean {
    return incident.read_by.some(([reader]) => reader === `operator:${this.me?.operator.id}`);
  }

  /** A call that rings at this desk alone comes up by itself, where nothing of ours would be hidden by it. */
  #offered(incident: Incident): void {
    const alone = incident.desks.includes(this.me?.desk ?? "");
    if (alone && !this.mine && this.dialog === null && this.#rings(incident)) this.select(incident.id);
  }

  /** All of it comes now. */
  #opens(id: string): void {
    this.glanced = new Set([...this.glanced].filter((one) => one !== id));
  }

  /** What was looked at while it rang is gone when another has it. */
  #forget(id: string): void {
    this.#opens(id);
    const parts = new Map(this.board.parts);
    if (parts.delete(id)) this.board = { ...this.board, parts };
  }

  /** Answer the selected incident when it waits, else the next one by the service's order. */
  async answer(): Promise<void> {
    const chosen = this.incident !== null && answerable(this.incident) ? this.incident.id : null;
    if (chosen === null && this.#voice.incident !== null) {
      this.#complain(t("fault.in_call"));
      return;
    }
    const answer = await this.#ask(chosen === null ? { do: "answer" } : { do: "answer", incident: chosen });
    const given = (answer?.result as { incident?: string } | undefined)?.incident;
    if (given !== undefined) this.#taken(given);
  }

  /** Open the selected incident: to help while it is open; a closed one is asked for with a purpose and a reason. */
  open(): void {
    if (this.incident?.state === "closed") this.dialog = { of: "open" };
    else if (this.selected !== null) {
      this.#opens(this.selected);
      void this.#ask({ do: "open", incident: this.selected, purpose: "emergency_handling" });
    }
  }

  async openFor(purpose: Purpose, reason: string): Promise<void> {
    if (this.selected === null) return;
    this.dialog = null;
    this.#opens(this.selected);
    await this.#ask({ do: "open", incident: this.selected, purpose, reason });
  }

  /** Look for incidents, closed ones too; null where that was refused. */
  async find(wanted: Omit<Extract<Order, { do: "find" }>, "do">): Promise<SearchResult | null> {
    const answer = await this.#ask({ do: "find", ...wanted });
    return (answer?.result as SearchResult | undefined) ?? null;
  }

  /** Open what was found, for what it was looked for: a closed one is read and nothing else. */
  async showFound(one: FoundIncident, purpose: Purpose, reason: string): Promise<void> {
    this.dialog = null;
    this.select(one.incident);
    if (purpose === "emergency_handling" && one.state === "closed") return;
    await this.openFor(purpose, reason);
  }

  /** What was registered or said of the person's health or family: shown to who asks, and each time is recorded. */
  async reveal(category: "MED" | "FAM"): Promise<readonly Shown[]> {
    if (this.selected === null) return [];
    const answer = await this.#ask({ do: "reveal", incident: this.selected, category, purpose: "emergency_handling" });
    return (answer?.result as readonly Shown[] | undefined) ?? [];
  }

  async medical(text: string, source: MedicalSource): Promise<boolean> {
    if (this.selected === null || text.trim() === "") return false;
    return (await this.#ask({ do: "medical", incident: this.selected, text: text.trim(), source })) !== null;
  }

  /** What the law wants done and nobody has said to be done, the first due first. */
  async owed(): Promise<readonly Due[]> {
    const answer = await this.#ask({ do: "owed" });
    return (answer?.result as readonly Due[] | undefined) ?? [];
  }

  /** Who asks from outside and has no answer yet, the first due first. */
  async requests(): Promise<readonly OpenRequest[]> {
    const answer = await this.#ask({ do: "requests" });
    return (answer?.result as readonly OpenRequest[] | undefined) ?? [];
  }

  /** Who it is that asks; on the record each time. */
  async readRequest({ incident, request }: OpenRequest): Promise<Readonly<Record<string, string>> | null> {
    const answer = await this.#ask({ do: "read_request", incident, request });
    return (answer?.result as Readonly<Record<string, string>> | undefined) ?? null;
  }

  /** Take a request down in the incident that is selected. */
  async takeRequest(asked: Omit<Extract<Order, { do: "request" }>, "do" | "incident">): Promise<boolean> {
    if (this.selected === null) return false;
    return (await this.#ask({ do: "request", incident: this.selected, ...asked })) !== null;
  }

  async checkRequest({ incident, request }: OpenRequest, fact: Fact, words: string): Promise<boolean> {
    return (await this.#ask({ do: "check_request", incident, request, fact, words: words.trim() })) !== null;
  }

  async approveRequest({ incident, request }: OpenRequest): Promise<boolean> {
    return (await this.#ask({ do: "approve_request", incident, request })) !== null;
  }

  async answerRequest({ incident, request }: OpenRequest): Promise<Answered | null> {
    const answer = await this.#ask({ do: "answer_request", incident, request });
    return (answer?.result as Answered | undefined) ?? null;
  }

  async refuseRequest({ incident, request }: OpenRequest, reason: RefusalReason, words: string): Promise<boolean> {
    return (await this.#ask({ do: "refuse_request", incident, request, reason, words: words.trim() })) !== null;
  }

  async meet(owed: Due, outcome: string, words: string): Promise<boolean> {
    const { incident, obligation, about } = owed;
    return (await this.#ask({ do: "meet", incident, obligation, about, outcome, words: words.trim() })) !== null;
  }

  /** The vehicle's newest place holds, or the one before it. */
  async settleMove(adopted: boolean): Promise<void> {
    if (this.selected === null) return;
    await this.#ask({ do: "move", incident: this.selected, adopted });
  }

  /** What has happened, as heard or asked. */
  async stateKind(kind: EmergencyKind): Promise<void> {
    if (this.selected === null) return;
    if ((await this.#ask({ do: "kind", incident: this.selected, kind })) !== null) this.said = word("kind", kind);
  }

  /** Which language the people in the vehicle speak. */
  async stateLanguage(language: string): Promise<void> {
    if (this.selected === null || language === "") return;
    await this.#ask({ do: "language", incident: this.selected, language });
  }

  /** Call an interpreter of that language; who is in the car is held meanwhile, and taken together again by key. */
  async interpreter(): Promise<void> {
    if (this.selected === null || !this.mine) return;
    if ((await this.#ask({ do: "interpreter", incident: this.selected })) !== null) this.said = t("spoken.calling");
  }

  /** Decide that services of the plan are not told. */
  async decline(services: readonly Service[], reason: DeclineReason, words: string): Promise<void> {
    if (this.selected === null) return;
    this.dialog = null;
    await this.#ask({ do: "decline", incident: this.selected, services, reason, words: words.trim() });
  }

  /** Where it is in the caller's words, or at coordinates typed like them. */
  async statePlace(words: string): Promise<boolean> {
    const text = words.trim();
    if (this.selected === null || text === "") return false;
    const at = /^(-?\d{1,2}\.\d+)[ ,、]+(-?\d{1,3}\.\d+)$/.exec(text);
    const [latitude, longitude] = at === null ? [null, null] : [Number(at[1]), Number(at[2])];
    return (await this.#ask({ do: "place", incident: this.selected, text: at === null ? text : "", latitude, longitude })) !== null;
  }

  /** What somebody says of the place: words are kept, an address or a kilometre post is looked for. */
  async sayPlace(said: SaidPlace): Promise<boolean> {
    if (this.selected === null) return false;
    if (said.how === "words") return this.statePlace(said.text);
    const answer = await this.#ask({ do: "say_place", incident: this.selected, ...said });
    if (answer === null) return false;
    if ((answer.result as { found: unknown }).found === null) this.said = t("place.kept");
    return true;
  }

  /** What was heard of the place holds, or is set aside. */
  async settleHeard(adopted: boolean): Promise<void> {
    if (this.selected === null) return;
    await this.#ask({ do: "settle_heard", incident: this.selected, adopted });
  }

  /** The place was read with somebody at the agency: they have the same, or what is said here. */
  async readBack(disclosure: string, said: SaidPlace | null = null): Promise<boolean> {
    if (this.selected === null || this.incident === null) return false;
    const { place_version: version, id: incident } = this.incident;
    const have = said ?? { how: "words", text: "", road: "", direction: "", km: null };
    const order = { do: "read_back", incident, disclosure, version, agreed: said === null, with_code: true, ...have } as const;
    if ((await this.#ask(order)) === null) return false;
    this.said = t(said === null ? "readback.said" : "readback.said.differs");
    return true;
  }

  /** The first who has not had the place read back. */
  async readBackNext(): Promise<void> {
    const next = this.mine && this.incident !== null ? unread(this.incident)[0] : undefined;
    if (next !== undefined) await this.readBack(next.disclosure);
  }

  async note(text: string, category: NoteCategory = "OBS"): Promise<boolean> {
    if (this.selected === null || text.trim() === "") return false;
    const saved = await this.#ask({ do: "note", incident: this.selected, category, text: text.trim() });
    if (saved !== null) this.said = t("notes.saved");
    return saved !== null;
  }

  /** What was answered to a question of the card; of somebody's health with who said so. */
  async answerCard(question: CardQuestion, value: string | number, source: MedicalSource): Promise<boolean> {
    if (this.selected === null) return false;
    if (question.id === "conscious" && value === "yes" && this.incident?.response?.heard === false) this.answeredBy("speech");
    const of = question.category === "MED" ? { source } : {};
    const saved = await this.#ask({ do: "card", incident: this.selected, question: question.id, value, ...of });
    if (saved !== null) this.said = t("questions.saved");
    return saved !== null;
  }

  /** Open the dialog for the suggested agency of `service`. */
  forward(service: Service): void {
    if (this.incident === null || this.me === null) return;
    const found = choices(this.incident, this.me.agencies).find((choice) => choice.service === service);
    if (found) this.dialog = { of: "forward", agency: found.agency };
  }

  /** Bring the police into the call by one key: told already, one look and they come; else they are told first. */
  conference(): void {
    if (this.incident === null || this.me === null || !this.mine) return;
    const agency = toBring(this.incident, this.me.agencies, "police");
    if (agency === null) this.#complain(t("conference.nobody"));
    else if (this.incident.legs.some((leg) => leg.who === agency && leg.left === null)) this.#complain(t("conference.there"));
    else if (letIn(this.incident, agency)) this.dialog = { of: "conference", agency };
    else this.dialog = { of: "forward", agency, join: true };
  }

  /** Let an agency that was told into the call, on its first line where this house dials. */
  join(agency: string): void {
    const line = this.me === null ? null : lineOf(this.me, agency);
    if (line === null) this.invite(agency);
    else this.dial(agency, line);
  }

  async disclose(agency: string, request: DisclosureRequest, join = false): Promise<void> {
    if (this.selected === null) return;
    const confirmed = this.warned?.agency === agency; // the warning was on the screen when it was pressed again
    this.dialog = null;
    this.warned = null;
    try {
      await this.#socket.order({ do: "disclose", incident: this.selected, agency, ...request, confirmed });
      if (join) this.join(agency);
    } catch (refused) {
      if (!(refused instanceof OrderRefused)) throw refused;
      if (refused.fault.type === "Unconfirmed") {
        this.warned = { agency, why: refusal(refused.fault) };
        this.dialog = { of: "forward", agency, join };
      } else this.#complain(refusal(refused.fault));
    }
  }

  /** Record what somebody at the agency said on the telephone. */
  async agencySaid(disclosure: string, said: AgencySaid): Promise<void> {
    if (this.selected === null) return;
    await this.#ask({ do: "agency_said", incident: this.selected, disclosure, said });
  }

  /** What the person said when asked, and then the request that stands on it. */
  async discloseAs(answer: "agreed" | "refused", categories: readonly Category[], agency: string, request: DisclosureRequest, join = false): Promise<void> {
    if (this.selected === null) return;
    const said = await this.#ask({ do: "consent", incident: this.selected, answer, categories });
    if (said !== null) await this.disclose(agency, request, join);
  }

  async approve(referral: string, approved: boolean, facts: readonly Fact[], reason: string): Promise<void> {
    if (this.selected === null) return;
    await this.#ask({ do: "approve", incident: this.selected, referral, approved, facts, reason });
  }

  /** Say by name that somebody has heard of it: of this one, by key of the first that can be acknowledged. */
  acknowledge(row?: Row): void {
    const chosen = row ?? this.alarms.find((one) => one.alarm !== null);
    if (chosen?.alarm) void this.#ask({ do: "acknowledge", incident: chosen.incident.id, alarm: chosen.alarm.alarm });
  }

  /** Take the selected incident from the operator who has it. */
  takeOver(reason: TakeoverReason): void {
    const holder = this.incident?.operator;
    if (this.selected !== null && holder) void this.#ask({ do: "take_over", incident: this.selected, holder, reason });
  }

  handOver(to: string, note: string): void {
    if (this.selected !== null && this.mine) void this.#ask({ do: "hand_over", incident: this.selected, to, note });
  }

  answerHandover(incident: string, accepted: boolean): void {
    if (accepted) this.select(incident);
    void this.#ask({ do: "answer_handover", incident, accepted });
  }

  /** Offer all that is open to a colleague and take no further calls. */
  endShift(to: string, note: string): void {
    this.ready = false;
    void this.#ask({ do: "end_shift", to, note });
  }

  /** Ask for somebody to help. */
  assist(): void {
    if (this.selected !== null && this.mine) void this.#ask({ do: "assist", incident: this.selected });
  }

  async close(disposition: Disposition, untold: DeclineReason | null = null, words = ""): Promise<void> {
    if (this.selected === null) return;
    this.dialog = null;
    this.#voice.closing(true); // the service hangs up first: that is no reason to call again
    const closed = await this.#ask({ do: "close", incident: this.selected, disposition, untold, words: words.trim() });
    if (closed === null) this.#voice.closing(false);
  }

  async reopen(reason: string): Promise<void> {
    if (this.selected === null) return;
    this.dialog = null;
    await this.#ask({ do: "reopen", incident: this.selected, reason });
  }

  /** Say that another incident belongs to this one, or that it does not. */
  async match(match: Match, approved: boolean): Promise<void> {
    if (this.selected === null) return;
    await this.#ask({ do: "match", incident: this.selected, other: match.other, relation: match.relation, approved });
  }

  /** How earlier calls of the same vehicle ended. */
  async earlier(incident: string): Promise<EarlierCalls | null> {
    const answer = await this.#ask({ do: "earlier", incident });
    return answer === null ? null : (answer.result as EarlierCalls);
  }

  /** Make another incident one crash with this one. */
  async link(other: string, share: Share): Promise<boolean> {
    if (this.selected === null) return false;
    return (await this.#ask({ do: "link", incident: this.selected, other, share })) !== null;
  }

  /** Take one of its cars out of the crash. */
  async unlink(incident: string): Promise<void> {
    await this.#ask({ do: "unlink", incident });
  }

  /** Show all cars of the crash beside each other; each opening is on the record. */
  async openCrash(): Promise<void> {
    if (this.selected !== null && this.incident?.linked) await this.#showCrash(this.selected, true);
  }

  async #showCrash(incident: string, anew: boolean): Promise<void> {
    const answer = await this.#ask({ do: "crash", incident, anew });
    if (answer !== null) this.crash = answer.result as CrashView;
  }

  /** Whoever telephones has named the code of a brief: go to the incident that it means. */
  async aboutCode(code: string): Promise<boolean> {
    if (this.selected === null) return false;
    const answer = await this.#ask({ do: "about_code", incident: this.selected, code });
    if (answer !== null) this.select((answer.result as { incident: string }).incident);
    return answer !== null;
  }

  async tellVehicle(action: AnswerAction, text = ""): Promise<boolean> {
    if (this.selected === null) return false;
    const words = action === "message" ? { text: text.trim() } : {};
    return (await this.#ask({ do: "tell_vehicle", incident: this.selected, action, ...words })) !== null;
  }

  hold(leg: Leg): void {
    this.#mode(leg, { held: !leg.held });
  }

  muteLeg(leg: Leg): void {
    this.#mode(leg, { muted: !leg.muted });
  }

  /** The key for it: hold the vehicle, or let it talk again. */
  holdVehicle(): void {
    const vehicle = this.mine && this.incident !== null ? legUp(this.incident, "vehicle") : undefined;
    if (vehicle !== undefined) this.hold(vehicle);
  }

  /** Talk with one leg alone; by key with the first agency in the call. */
  consult(leg?: string): void {
    if (this.incident === null || !this.mine) return;
    const whom = leg ?? legUp(this.incident, "agency")?.leg;
    if (whom === undefined) this.#complain(t("call.no_agency"));
    else this.#modes(consulting(this.incident, whom, this.me?.operator.id ?? ""));
  }

  /** Everybody hears everybody again. */
  together(): void {
    const held = this.mine ? (this.incident?.legs.filter((leg) => leg.up && leg.held) ?? []) : [];
    this.#modes(held.map(({ leg }) => ({ leg, held: false })));
  }

  invite(agency: string): void {
    if (this.selected !== null) void this.#ask({ do: "invite", incident: this.selected, agency });
  }

  dial(agency: string, line: string): void {
    if (this.selected !== null) void this.#ask({ do: "dial", incident: this.selected, agency, line });
  }

  callVehicle(): void {
    if (this.selected !== null && this.mine) void this.#ask({ do: "call_vehicle", incident: this.selected });
  }

  /** Ask a caller who does not speak to press 1 for yes and 2 for no. */
  silent(): void {
    const vehicle = this.mine && this.incident !== null ? legUp(this.incident, "vehicle") : undefined;
    if (this.selected === null || vehicle === undefined) return;
    void this.#ask({ do: "notice", incident: this.selected, leg: vehicle.leg, notice: "silent" });
  }

  /** Have the machine read an agency its brief; the vehicle hears none of it. */
  speakBrief(leg: string): void {
    if (this.selected !== null) void this.#ask({ do: "speak_brief", incident: this.selected, leg });
  }

  /** Somebody in the vehicle has answered. */
  answeredBy(how: "speech" | "sounds"): void {
    if (this.selected !== null) void this.#ask({ do: "answered", incident: this.selected, how });
  }

  /** Nobody is taken to be unconscious for another while. */
  waitLonger(because: WaitReason): void {
    if (this.selected !== null) void this.#ask({ do: "wait_longer", incident: this.selected, seconds: LONGER_S, because });
  }

  endLeg(leg: string): void {
    if (this.selected !== null) void this.#ask({ do: "end_leg", incident: this.selected, leg });
  }

  /** Leave vehicle and agency to each other; the incident stays this operator's. */
  async leaveCall(): Promise<void> {
    const left = this.selected;
    if (left === null || !this.mine || this.out.has(left)) return;
    this.#voice.closing(true); // the service hangs up first: that is no reason to call again
    const done = await this.#ask({ do: "leave_call", incident: left });
    if (done === null) return this.#voice.closing(false);
    this.#goOut(left, true);
    if (this.#voice.incident === left) this.#voice.leave();
  }

  rejoin(): void {
    if (this.selected === null) return;
    this.#goOut(this.selected, false);
    this.#voice.join(this.selected);
  }

  #goOut(incident: string, out: boolean): void {
    this.out = new Set([...this.out].filter((one) => one !== incident).concat(out ? [incident] : []));
    sessionStorage.setItem(OUT, JSON.stringify([...this.out]));
  }

  /** The operator left, and the vehicle has nobody any more: back at once. */
  #backToTheVehicle(incident: Incident): void {
    if (!this.out.has(incident.id)) return;
    if (incident.state === "closed" || incident.operator !== this.me?.operator.id) this.#goOut(incident.id, false);
    else if (alone(incident) && this.#voice.incident === null) {
      this.#goOut(incident.id, false);
      this.announced = t("call.alone");
      this.#complain(t("call.alone"));
      this.#taken(incident.id);
    }
  }

  #mode(leg: Leg, changes: { held?: boolean; muted?: boolean }): void {
    const { held, muted, coaching } = { ...leg, ...changes };
    if (this.selected !== null)
      void this.#ask({ do: "mode", incident: this.selected, leg: leg.leg, held, muted, coaching });
  }

  #modes(wanted: readonly { leg: string; held: boolean }[]): void {
    for (const { leg, held } of wanted) {
      const known = this.incident?.legs.find((one) => one.leg === leg);
      if (known !== undefined) this.#mode(known, { held });
    }
  }

  mute(): void {
    this.muted = !this.muted;
    this.#voice.mute(this.muted);
  }

  silence(): void {
    this.#ringer.silence();
  }

  /** What the service answered; null when it refused, which the operator has been told then. */
  async #ask(order: Order): Promise<{ result: unknown } | null> {
    try {
      return { result: await this.#socket.order(order) };
    } catch (refused) {
      if (!(refused instanceof OrderRefused)) throw refused;
      this.#complain(refusal(refused.fault));
      return null;
    }
  }

  /** Ask for what nobody has pressed a key for: when the service refuses, nobody is told so. */
  async #askQuietly(order: Order): Promise<void> {
    await this.#socket.order(order).catch((refused: unknown) => {
      if (!(refused instanceof OrderRefused)) throw refused;
    });
  }

  #say(order: Order): void {
    if (this.#socket.open) void this.#ask(order);
  }

  #complain(text: string): void {
    this.fault = text;
    setTimeout(() => {
      if (this.fault === text) this.fault = null;
    }, FAULT_LASTS_MS);
  }

  #link(up: boolean, tries: number): void {
    this.linked = up;
    if (!up && tries > 0) void this.#enterAgain();
  }

  /** Why is there no connection?  When the service does not know this session, log in again, or ask for it. */
  async #enterAgain(): Promise<void> {
    if ((await loggedIn()) !== false || this.#leaving) return;
    if (this.me === null) {
      this.#socket.stop();
      this.phase = "login";
    } else if (this.#voice.incident !== null) {
      this.#complain(t("fault.login")); // the call goes on, and is not cut off by a page that reloads
    } else {
      this.#leave("over");
    }
  }

  #take(all: readonly (FromServer | History)[]): void {
    const frames = all.filter((frame) => !this.#heardOf(frame));
    if (frames.length === 0) return; // ten times a second during a call: nothing else is to be drawn for it
    this.board = apply(this.board, frames);
    for (const frame of frames) {
      if (frame.t === "welcome") this.#welcome(frame);
      else if (frame.t === "seat") this.#moved(frame.active);
      else if (frame.t === "ended") this.#leave(frame.why);
      else if (frame.t === "mass_events") this.#massEvents(frame);
      else if (frame.t === "health") {
        this.serverHealth = frame.items;
        this.serverWaiting = frame.waiting;
      } else if (frame.t === "event") this.#happened(frame);
      else if (frame.t === "snapshot") {
        this.#stale = false;
        this.#resume();
      } else if (frame.t === "history" && this.#concerns(frame)) this.#resume();
    }
    window.__sos.state = this.board;
    window.__sos.sounded = () => this.#ringer.played;
    for (const id of this.board.unknown) this.#learn(id);
    this.#refill();
    this.#ringing();
  }

  /** A supervisor's order about mass events; whether it was done. */
  async order(order: Order): Promise<boolean> {
    return (await this.#ask(order)) !== null;
  }

  /** The supervisor's form, for what has to be decided first, or for a new one. */
  decideMassEvent(): void {
    if (!this.me?.operator.supervisor) return;
    const [first] = [...this.massEvents.events].sort((a, b) => Number(a.in_force) - Number(b.in_force));
    this.dialog = { of: "mass", mass_event: first?.mass_event ?? null };
  }

  #massEvents(told: MassEventsTold): void {
    const supervisor = this.me?.operator.supervisor ?? false;
    const fresh = alarmed(told, supervisor) && !alarmed(this.massEvents, supervisor);
    this.massEvents = told;
    if (fresh && this.phase === "work") this.announced = t("alarm.new", { what: t("mass") });
  }

  /** Whether a frame is about what is heard, which is no fact of the incident. */
  #heardOf(frame: FromServer | History): boolean {
    if (frame.t === "levels") this.sound.loud(frame);
    else if (frame.t === "transcript") this.sound.written(frame);
    else return false;
    return true;
  }

  /** Hear once more what a leg said last; by key, the vehicle. */
  replay(leg?: string): void {
    const { incident } = this;
    if (incident === null || !this.hears) return;
    const whose = leg ?? shown(incident).find((one) => one.party === "vehicle")?.leg;
    if (whose !== undefined) void this.sound.replay(incident.id, whose);
  }

  /** Hear a recording of the incident: who may is asked what for. */
  listen(): void {
    if (this.incident !== null && this.hears && this.incident.recordings.length > 0) this.dialog = { of: "recording" };
  }

  /** Ask for everything that happened to an incident, when something of it is missing here. */
  #learn(id: string): void {
    const known = this.board.incidents.get(id);
    const complete = known !== undefined && (this.board.history.get(id)?.length ?? 0) >= known.version;
    if (complete || this.#asked.has(id)) return;
    this.#asked.add(id);
    void this.#ask({ do: "history", incident: id }).then((answer) => {
      this.#asked.delete(id);
      if (Array.isArray(answer?.result)) this.#take([{ t: "history", events: answer.result as EventFrame[] }]);
    });
  }

  /** When the part of the queue that is known here runs out, get the next: but never during a call. */
  #refill(): void {
    const missing = this.board.total > this.board.incidents.size;
    const low = this.sections.waiting.length < REFILL_BELOW;
    if (!missing || !low || !this.linked || this.#voice.incident !== null || Date.now() < this.#staleAt) return;
    this.#staleAt = Date.now() + REFILL_EVERY_MS;
    this.#stale = true;
    this.#socket.reconnect();
  }

  #voiceBy(way: Way): DeskVoice {
    return voiceBy(way, {
      changed: (state, pc) => {
        this.voice = state;
        this.microphone = this.#voice.hasMicrophone;
        window.__sos.pc = pc;
      },
      level: (level) => (this.level = level),
    });
  }

  /** Who carries voice may be another after a restart; a call that is going on is not changed for it. */
  #carriedBy(way: Way): void {
    if (way === this.#way || this.#voice.incident !== null) return;
    this.#way = way;
    this.#voice = this.#voiceBy(way);
    if (this.phase === "work") void this.#voice.prepare();
  }

  #welcome(welcome: Welcome): void {
    this.#carriedBy(welcome.voice ?? "webrtc");
    const restarted = this.#boot !== undefined && welcome.boot !== this.#boot;
    this.#boot = welcome.boot;
    this.me = welcome;
    this.#ahead_ms = Date.parse(welcome.now) - Date.now();
    this.now = Date.parse(welcome.now);
    if (this.phase !== "work") this.phase = "start";
    else if (!this.elsewhere || welcome.active !== false) {
      this.workHere();
      if (restarted) this.#voice.again();
    }
  }

  /** Another window of this desk has been taken to work, or was closed. */
  #moved(here: boolean): void {
    if (this.phase !== "work" || this.elsewhere === !here) return;
    if (here) this.workHere();
    else {
      this.elsewhere = true;
      this.announced = t("elsewhere");
    }
  }

  /** After a reload or a restart: take up the incident that is still ours, voice leg included. */
  #resume(): void {
    if (this.phase !== "work" || this.elsewhere) return;
    for (const id of this.out) {
      const left = this.board.incidents.get(id);
      if (left !== undefined) this.#backToTheVehicle(left);
    }
    const mine = this.sections.mine;
    const going = mine.find((one) => one.id === this.#voice.incident) ?? mine[0];
    const joined = this.#voice.incident;
    if (joined !== null && !this.board.incidents.has(joined)) this.#learn(joined);
    else if (going) this.#taken(going.id);
    else if (joined !== null) this.#voice.leave();
  }

  /** Whether a history is about the call of this desk, or about one that should be. */
  #concerns({ events: [first] }: History): boolean {
    if (first === undefined) return false;
    if (this.#voice.incident !== null) return first.incident === this.#voice.incident;
    return this.board.incidents.get(first.incident)?.operator === this.me?.operator.id;
  }

  /** What is shown of a crash follows what happens to any of its cars, once for a burst of events. */
  #ofTheCrash(event: EventFrame): void {
    if (this.crash === null || event.kind === "PartsRead" || !concerns(this.crash, event)) return;
    const still = this.crash.cars.find((car) => this.board.incidents.get(car.incident)?.linked?.crash_id === this.crash?.crash_id);
    clearTimeout(this.#crashLater);
    if (still === undefined) this.crash = null;
    else this.#crashLater = setTimeout(() => void this.#showCrash(still.incident, false), 250);
  }

  #happened(event: EventFrame): void {
    this.#ofTheCrash(event);
    const incident = this.board.incidents.get(event.incident);
    if (incident === undefined) return;
    const ours = incident.operator === this.me?.operator.id && incident.state !== "closed";
    if (event.kind === "IncidentClosed") this.sound.forget(incident.id, incident.legs.map(({ leg }) => leg));
    if (event.kind === "DeskOffered") this.#offered(incident);
    if (event.kind === "LegLeft" && ours) this.#unreached(incident, event);
    if (event.kind === "OperatorAssigned" && !ours && !this.#openedHere(incident)) this.#forget(incident.id);
    if (event.kind === "OperatorAssigned" && ours && this.phase === "work" && !this.elsewhere) this.#taken(incident.id);
    if (event.kind === "LegJoined" && this.elsewhere && event.data["who"] === this.me?.operator.id) this.#voice.giveWay();
    if (this.#voice.incident === incident.id && (!ours || !talking(incident))) this.#voice.leave();
    if (!this.elsewhere) this.#backToTheVehicle(incident);
    const own = event.actor === `operator:${this.me?.operator.id}`;
    if (!own && ADDS_PARTS.has(event.kind) && this.board.parts.has(incident.id)) {
      if (ours || this.#openedHere(incident)) this.#refreshed(incident.id);
      else if (this.selected === incident.id && this.#rings(incident)) this.#glance(incident.id);
    }
    if (ours && WORTH_SAYING.has(event.kind)) {
      this.said = word("event", event.kind);
      if (this.voice === "connected") this.#ringer.tick();
    }
  }

  /** An interpreter who was called and never came: said in words, since the people in the car wait for them. */
  #unreached(incident: Incident, { n, data }: EventFrame): void {
    const leg = incident.legs.find((one) => one.leg === data["leg"] && one.party === "interpreter");
    const past = this.board.history.get(incident.id) ?? [];
    if (leg === undefined || past.some((one) => one.n < n && one.kind === "LegJoined" && one.data["leg"] === leg.leg)) return;
    if (leg.left === "withdrawn") return;
    const text = t("spoken.unreached", { why: word("left", leg.left ?? "") });
    this.announced = text;
    this.#complain(text);
  }

  #taken(id: string): void {
    this.select(id);
    if (!this.out.has(id)) this.#voice.join(id);
    if (!this.board.parts.has(id) || this.glanced.has(id)) this.#refreshed(id); // what was seen while it rang was not all
    this.#opens(id);
  }

  /** Ask again for the contents, once for a burst of events.  The server records the first time only. */
  #refreshed(id: string): void {
    clearTimeout(this.#refresh);
    this.#refresh = setTimeout(() => void this.#ask({ do: "refresh", incident: id }), 120);
  }

  /** Say what has been raised since; whoever had silenced the desk hears it again. */
  #raised(): void {
    const rows = this.alarms.flatMap((row) => (row.alarm === null ? [] : [{ id: `${row.incident.id} ${row.alarm.alarm}`, row }]));
    const fresh = rows.find(({ id }) => !this.#alarmed.has(id));
    this.#alarmed = new Set(rows.map(({ id }) => id));
    if (fresh === undefined) return;
    this.#ringer.wake();
    this.announced = t("alarm.new", { what: word("alarm_kind", fresh.row.why) });
  }

  /** Sound and announce what waits; during a call only a soft tick in the ear. */
  #ringing(): void {
    const ringing = this.sections.waiting.filter((one) => one.unattended_at !== null && one.state !== "reopened");
    const here = [...this.unrecorded, ...ringing, ...this.sections.mine.filter(callsBack)];
    const ids = new Set(here.map((one) => one.id));
    const fresh = here.filter((one) => !this.#heard.has(one.id));
    this.#heard = ids;
    const inCall = this.#voice.incident !== null;
    if (this.phase !== "work") return;
    const heard = sound(this.alarms); // nobody is away while a caller has nobody
    const alarm = louder(heard, massSound(this.massEvents, this.me?.operator.supervisor ?? false));
    const called = this.ready && !this.elsewhere ? ring(here, this.me?.desk ?? "") : null;
    this.#ringer.ring(inCall ? alarm && "soft" : louder(alarm, called));
    this.#raised();
    const [first] = fresh;
    if (first === undefined) return;
    this.#ringer.wake();
    if (inCall) this.#ringer.tick();
    const away = this.board.degraded.has(first.id);
    this.announced = t(away ? "alert.unrecorded" : "alert.new", { what: t(`urgency.${urgency(first)}` satisfies Key) });
  }
}

const OUT = "sos.out";

function leftBefore(): ReadonlySet<string> {
  return new Set(JSON.parse(sessionStorage.getItem(OUT) ?? "[]") as string[]);
}

const ADDS_PARTS: ReadonlySet<string> = new Set([
  "ReportFiled",
  "PlaceStated",
  "PlanMade",
  "PlaceDescribed",
  "NoteAdded",
  "HandoverOffered",
  "AgencyAsked",
  "CardAnswered",
  "LanguageStated",
  "CancelReceived",
  "VehicleRecognised",
  "SeverityJudged",
]);
const WORTH_SAYING: ReadonlySet<string> = new Set([
  "AgencyAcknowledged",
  "AgencyRejected",
  "DeliveryFailed",
  "HandoffCompleted",
  "AgencyReported",
  "AgencyAsked",
  "RungTaken",
  "HelpEscalated",
  "RecordingFailed",
  "KeysPressed",
  "LegQueued",
]);

/** A place as somebody says it. */
export interface SaidPlace {
  how: SaidHow;
  text: string;
  road: string;
  direction: string;
  km: number | null;
}

/** What somebody shows to come in. */
interface Credential {
  token?: string;
  code?: string;
  second_factor?: string;
}

const REFUSALS = {
  refused: "login.refused",
  factor: "login.factor.refused",
  unreachable: "login.failed",
} as const;

async function entered(shown: Credential): Promise<"ok" | keyof typeof REFUSALS> {
  const answer = await fetch("/console/session", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(shown),
  }).catch(() => null);
  if (answer === null || answer.status >= 500) return "unreachable";
  if (answer.ok) return "ok";
  const problem = (await answer.json().catch(() => ({}))) as { type?: string };
  return problem.type === "urn:problem-type:sos:second-factor" ? "factor" : "refused";
}

/** Whether the browser has a log-in that holds; null when the service cannot say. */
async function loggedIn(): Promise<boolean | null> {
  const answer = await fetch("/console/session").catch(() => null);
  if (answer === null || answer.status >= 500) return null;
  return answer.ok;
}

declare global {
  interface Window {
    __sos: { pc: RTCPeerConnection | null; state: Board; leg: (incident: string) => string; sounded?: () => number };
  }
}
window.__sos = { pc: null, state: EMPTY, leg: legOf };

export const desk = new Desk();

/** Why the service refuses, in the chosen language. */
function refusal(fault: Fault): string {
  if (fault.type === "offline") return t("fault.offline");
  return fault.words[language() === "ja" ? 0 : 1] || fault.detail || fault.title;
}

/** The name of an operator, or the id of one who is not known here. */
export function operatorName(id: string): string {
  return (id === desk.me?.operator.id ? desk.me.operator.name : desk.me?.colleagues?.[id]) ?? id;
}

/** The name of `agency` in the chosen language, or its id. */
export function agencyName(agency: string, language: "ja" | "en"): string {
  const found: Agency | undefined = desk.me?.agencies[agency];
  return found?.[`name_${language}`] ?? agency;
}
