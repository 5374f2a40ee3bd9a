/** Numbers, times and directions as an operator reads them or reads them aloud. */

import type { Language } from "./i18n.svelte";

const CLOCK = new Intl.DateTimeFormat("ja-JP", {
  timeZone: "Asia/Tokyo",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});

/** `17:31:26`, Japan Standard Time. */
export const clock = (at: number | string): string => CLOCK.format(new Date(at));

/** `17:31`, Japan Standard Time. */
export const minute = (at: number | string): string => clock(at).slice(0, 5);

/** A day and its time as a person reads them in the language of the page, Japan Standard Time wherever the desk stands. */
export const day = (at: number | string, language: Language): string =>
  new Date(at).toLocaleString(language, { dateStyle: "medium", timeStyle: "short", timeZone: "Asia/Tokyo" });

/** `00:04`, and `1:02:09` from an hour on. */
export function age(since: string | null, now: number): string {
  if (since === null) return "--:--";
  const seconds = Math.max(0, Math.floor((now - Date.parse(since)) / 1000));
  const [hours, minutes, rest] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const tail = `${String(minutes).padStart(2, "0")}:${String(rest).padStart(2, "0")}`;
  return hours > 0 ? `${hours}:${tail}` : tail;
}

/** Decimal degrees with five digits: about a metre. */
export const coordinates = (latitude: number, longitude: number): string =>
  `${latitude.toFixed(5)}, ${longitude.toFixed(5)}`;

const POINTS: Readonly<Record<Language, readonly string[]>> = {
  ja: ["北", "北東", "東", "南東", "南", "南西", "西", "北西"],
  en: ["N", "NE", "E", "SE", "S", "SW", "W", "NW"],
};

/** `北東 045°` */
export function heading(degrees: number, language: Language): string {
  const turned = ((degrees % 360) + 360) % 360;
  const point = POINTS[language][Math.round(turned / 45) % 8] ?? "";
  return `${point} ${String(Math.round(turned) % 360).padStart(3, "0")}°`;
}

const KANA = ["ゼロ", "イチ", "ニ", "サン", "ヨン", "ゴ", "ロク", "ナナ", "ハチ", "キュウ"] as const;
const SPELT = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"] as const;

/** Digit by digit, in groups of three after the point: `35 点 ロクゴハチ ゴハチ`. */
export function spoken(degrees: number, language: Language): string {
  const [whole = "", digits = ""] = Math.abs(degrees).toFixed(5).split(".");
  const names: readonly string[] = language === "ja" ? KANA : SPELT;
  const say = (group: string): string =>
    Array.from(group, (digit) => names[Number(digit)]).join(language === "ja" ? "" : " ");
  const groups = [digits.slice(0, 3), digits.slice(3)].map(say).join(language === "ja" ? " " : ", ");
  const sign = degrees < 0 ? "−" : "";
  return language === "ja" ? `${sign}${whole} 点 ${groups}` : `${sign}${whole} point ${groups}`;
}

/** Metres below a kilometre, then kilometres with one digit. */
export const distance = (metres: number): string =>
  metres < 1000 ? `${Math.round(metres)} m` : `${(metres / 1000).toFixed(1)} km`;

/** The last eight characters: enough to tell incidents apart by eye, and what operators say to each other. */
export const short = (id: string): string => id.slice(-8).toUpperCase();

const HALF = /[０-９]/g;

/** Full-width digits as half-width. */
export const halfWidth = (text: string): string =>
  text.replace(HALF, (digit) => String.fromCharCode(digit.charCodeAt(0) - 0xfee0));

/** A sender's code as the catalogues have it: small letters and nothing between them. */
export const spelt = (code: string): string => code.trim().toLowerCase().replace(/[\s_-]/g, "");
