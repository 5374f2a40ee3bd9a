/** The keys of the desk.  Function keys and chords only: a bare letter never does anything (WCAG 2.1.4). */

import type { Key } from "./i18n.svelte";

export const KEYS: readonly (readonly [string, Key])[] = [
  ["F2", "key.answer"],
  ["F3", "key.find"],
  ["F5", "key.fire"],
  ["F6", "key.police"],
  ["F7", "key.conference"],
  ["F8", "key.acknowledge"],
  ["Shift+F8", "key.mass"],
  ["F9", "key.other"],
  ["Shift+F4", "key.close"],
  ["Ctrl+Enter", "key.note"],
  ["Alt+1 … 9", "key.nth"],
  ["Alt+N", "key.notes"],
  ["Alt+L", "key.place"],
  ["Alt+I", "key.interpreter"],
  ["Alt+K", "key.kind"],
  ["Alt+Q", "key.card"],
  ["Alt+T", "key.timeline"],
  ["Alt+C", "key.call"],
  ["Alt+G", "key.told"],
  ["Alt+B", "key.read_back"],
  ["Alt+W", "key.alarms"],
  ["Alt+O", "key.one_crash"],
  ["Ctrl+Shift+M", "key.mute"],
  ["Ctrl+Shift+H", "key.hold"],
  ["Ctrl+Shift+K", "key.consult"],
  ["Ctrl+Shift+E", "key.together"],
  ["Ctrl+Shift+Y", "key.silent"],
  ["Ctrl+Shift+F", "key.call_vehicle"],
  ["Ctrl+Shift+L", "key.leave"],
  ["Ctrl+Shift+A", "key.answered"],
  ["Ctrl+Shift+U", "key.assist"],
  ["Ctrl+Shift+S", "key.silence"],
  ["Alt+R", "key.replay"],
  ["Alt+P", "key.recording"],
  ["Alt+A", "key.agency_answered"],
  ["Ctrl+Shift+X", "key.logout"],
  ["F1 / ?", "key.sheet"],
];

/** The name of what was pressed, such as `Ctrl+Shift+M`. */
export function chord(event: Pick<KeyboardEvent, "key" | "code" | "ctrlKey" | "shiftKey" | "altKey" | "metaKey">): string {
  const base = /^(Key[A-Z]|Digit\d)$/.test(event.code) ? event.code.slice(-1) : event.key;
  const parts = [event.ctrlKey && "Ctrl", event.altKey && "Alt", event.metaKey && "Meta", event.shiftKey && "Shift"];
  return [...parts.filter((part) => part !== false), base].join("+");
}

/** Whether the press belongs to a field that takes text. */
export const typing = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && target.matches("input, textarea, select, [contenteditable]");
