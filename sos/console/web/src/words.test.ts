import { readFileSync, readdirSync } from "node:fs";
import { expect, test } from "vitest";
import en from "./en.json";
import { age, coordinates, day, halfWidth, heading, spelt, spoken } from "./format";
import ja from "./ja.json";
import { chord } from "./keys";
import { ALARM_KINDS, CONSENTS, NECESSITIES, OTHERS_NECESSITIES, PATHS, TAKEOVER_REASONS, TELLABLE } from "./offered";
import { ACKNOWLEDGEMENTS, DISPOSITIONS } from "./protocol";
import { TRANSITIONS } from "./state";

const SOURCES = new URL("./", import.meta.url);

test("both catalogues have the same keys in the same order", () => {
  expect(Object.keys(en)).toEqual(Object.keys(ja));
});

test("both catalogues fill in the same names", () => {
  const names = (pattern: string): string[] => [...pattern.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!).sort();
  for (const key of Object.keys(ja) as (keyof typeof ja)[]) expect(names(en[key]), key).toEqual(names(ja[key]));
});

test("every code that the service may send has a word", () => {
  const kinds = readFileSync(new URL("../../../incident/events.py", SOURCES), "utf8").matchAll(/^class (\w+)\(Event,/gm);
  const codes = [
    ...ACKNOWLEDGEMENTS.map((code) => `ack.${code}`),
    ...CONSENTS.map((code) => `consent.${code}`),
    ...DISPOSITIONS.map((code) => `disposition.${code}`),
    ...[...NECESSITIES, ...OTHERS_NECESSITIES].map((code) => `necessity.${code}`),
    ...PATHS.map((code) => `path.${code}`),
    ...TELLABLE.map((code) => `category.${code}`),
    ...ALARM_KINDS.map((code) => `alarm_kind.${code}`),
    ...TAKEOVER_REASONS.map((code) => `takeover.${code}`),
    ...Object.keys(TRANSITIONS).flatMap((code) => (code === "none" ? [] : [`state.${code}`])),
    ...[...kinds].map(([, kind]) => `event.${kind}`),
  ];
  expect(codes.filter((code) => !(code in ja))).toEqual([]);
});

test("what a sender says of the car and of its rollover has a word, in Japanese no Latin one", () => {
  const schema = readFileSync(new URL("../../../formats/event_schema.py", SOURCES), "utf8");
  const listed = (field: string): string[] =>
    [...(new RegExp(`"${field}": "([^"]*)"`).exec(schema)?.[1] ?? "").matchAll(/`([^`]+)`/g)].map(([, code]) => code!);
  const codes = [
    ...listed("Vehicle.energy").map((code) => `vehicle.energy.${spelt(code)}`),
    ...listed("Crash.rollover").map((code) => `crash.rollover.${spelt(code)}`),
  ];
  const words = ja as Readonly<Record<string, string>>;
  expect(codes.length).toBeGreaterThan(10);
  expect(codes.filter((code) => !(code in words))).toEqual([]);
  const spoken = Object.keys(words).filter((key) => /^(vehicle\.(color|energy)|crash\.(rollover|impact))\./.test(key));
  expect(spoken.filter((key) => /[A-Za-z]/.test(words[key]!))).toEqual([]);
  expect(spelt(" Fuel_Cell ")).toBe("fuelcell");
});

test("no view shows text by innerHTML", () => {
  const files = readdirSync(SOURCES, { recursive: true }).map(String).filter((name) => /\.(svelte|ts)$/.test(name));
  const found = files.filter((name) => !name.endsWith("words.test.ts")).filter((name) =>
    /\{@html|innerHTML|insertAdjacentHTML/.test(readFileSync(new URL(name, SOURCES), "utf8")),
  );
  expect(files.length).toBeGreaterThan(20);
  expect(found).toEqual([]);
});

/** WCAG 2.2, relative luminance. */
function luminance(hex: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5]
    .map((at) => parseInt(hex.slice(at, at + 2), 16) / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one: string, other: string): number {
  const [dark = 0, light = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

const COLOURS = Object.fromEntries(
  [...readFileSync(new URL("app.css", SOURCES), "utf8").matchAll(/--([\w-]+): (#[0-9a-f]{6});/g)].map(([, name, hex]) => [
    name!,
    hex!,
  ]),
);

test.each([
  ["ink", "paper"],
  ["soft", "paper"],
  ["soft", "shade"],
  ["soft", "ground"],
  ["blue", "paper"],
  ["good", "paper"],
  ["automatic", "automatic-shade"],
  ["unknown", "unknown-shade"],
  ["manual", "manual-shade"],
  ["exercise", "exercise-shade"],
  ["soft", "automatic-shade"],
  ["soft", "manual-shade"],
  ["on-bar", "bar"],
  ["bar-soft", "bar"],
  ["bar-warn", "bar"],
  ["bar-good", "bar"],
])("%s is legible on %s", (text, ground) => {
  expect(contrast(COLOURS[text]!, COLOURS[ground]!)).toBeGreaterThanOrEqual(4.5);
});

test("numbers read as operators read them", () => {
  expect(coordinates(35.658584, 139.745433)).toBe("35.65858, 139.74543");
  expect(spoken(35.65858, "ja")).toBe("35 点 ロクゴハチ ゴハチ");
  expect(spoken(-0.5, "en")).toBe("−0 point five zero zero, zero zero");
  expect(heading(359.9, "ja")).toBe("北 000°");
  expect(heading(-90, "en")).toBe("W 270°");
  expect(age("2026-01-01T00:00:00Z", Date.parse("2026-01-01T01:02:09Z"))).toBe("1:02:09");
  expect(age("2026-01-01T00:00:05Z", Date.parse("2026-01-01T00:00:00Z"))).toBe("00:00");
  expect(halfWidth("３人、０９０")).toBe("3人、090");
});

test("a key has one name whatever the keyboard writes with it", () => {
  const press = { key: "ñ", code: "KeyN", ctrlKey: false, shiftKey: false, altKey: true, metaKey: false };
  expect(chord(press)).toBe("Alt+N");
  expect(chord({ ...press, key: "F4", code: "F4", altKey: false, shiftKey: true })).toBe("Shift+F4");
});

test("a day stands in the language of the page and in the time of Japan, whatever the browser speaks", () => {
  expect(day("2026-11-30T20:05:00Z", "ja")).toBe("2026/12/01 5:05");
  expect(day("2026-11-30T20:05:00Z", "en")).toMatch(/^Dec 1, 2026, 5:05.AM$/);
  const views = new URL("views/", SOURCES);
  const sources = readdirSync(views).map((name) => [name, readFileSync(new URL(name, views), "utf8")] as const);
  expect(sources.filter(([, source]) => source.includes("toLocale")).map(([name]) => name)).toEqual([]);
});
