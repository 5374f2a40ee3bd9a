/** Words in the operator's language.  Two catalogues with the same keys; `{name}` is filled in, nothing else. */

import en from "./en.json";
import { spelt } from "./format";
import ja from "./ja.json";

export type Language = "ja" | "en";
interface Area {
  readonly municipalityName?: string | undefined;
  readonly prefectureName?: string | undefined;
}
export type Key = keyof typeof ja;

const CATALOGUES: Readonly<Record<Language, Readonly<Record<string, string>>>> = { ja, en };
const REMEMBERED = "sos.language";

let chosen = $state<Language>(localStorage.getItem(REMEMBERED) === "en" ? "en" : "ja");

export const language = (): Language => chosen;

export function choose(next: Language): void {
  chosen = next;
  localStorage.setItem(REMEMBERED, next);
  document.documentElement.lang = next;
  document.title = t("title");
}

export function t(key: Key, values: Readonly<Record<string, string | number>> = {}): string {
  return filled(CATALOGUES[chosen][key] ?? key, values);
}

/** The word for a code that comes from the server, or the code itself when there is no word for it yet. */
export function word(group: string, code: string, values: Readonly<Record<string, string | number>> = {}): string {
  return filled(CATALOGUES[chosen][`${group}.${code}`] ?? code, values);
}

/** The word for a code that a sender chose, however it is spelt (`NONE`, `Fuel_Cell`); its own where there is none. */
export function sent(group: string, value: string): string {
  return CATALOGUES[chosen][`${group}.${spelt(value)}`] ?? value;
}

/** An area by its code (ISO 3166-2) as people call it. */
export const prefecture = (code: string | null): string | undefined => (code === null ? undefined : word("prefecture", code));

/** Where it is in short, in the language of the page: our data name municipalities in Japanese alone. */
export function area(place: Area | null | undefined, code: string | null): string | undefined {
  const japanese = place?.municipalityName ?? place?.prefectureName;
  return chosen === "ja" ? (japanese ?? prefecture(code)) : (prefecture(code) ?? japanese);
}

/** A language tag (BCP 47) as people call the language. */
export function languageName(tag: string): string {
  try {
    return new Intl.DisplayNames([chosen], { type: "language" }).of(tag) ?? tag;
  } catch {
    return tag;
  }
}

function filled(pattern: string, values: Readonly<Record<string, string | number>>): string {
  return pattern.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}
