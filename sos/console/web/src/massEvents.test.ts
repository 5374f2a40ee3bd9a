import { expect, test } from "vitest";
import { alarmed, area, NONE, shown, sound, typed } from "./massEvents";
import type { MassEventTold } from "./protocol";

const event = (changes: Partial<MassEventTold>): MassEventTold => ({
  mass_event: "m-1",
  in_force: true,
  name: "架空の地震",
  words: "",
  since: "2026-01-01T09:00:00.000Z",
  operator: "jiro",
  until: "2026-01-01T15:00:00.000Z",
  overdue: false,
  area: { codes: ["JP-13"] },
  area_names: [["東京都", "Tokyo"]],
  emergencies: 0,
  tenants: 0,
  within_s: 0,
  waiting: 0,
  held: 0,
  tellings: [],
  ...changes,
});

test("a supervisor is alarmed first, and everybody when no supervisor decides", () => {
  const told = { ...NONE, audience: "supervisors" as const };
  expect([alarmed(told, true), alarmed(told, false)]).toEqual([true, false]);
  expect(sound({ ...told, audience: "everybody" }, false)).toBe("medium");
  expect(sound(NONE, true)).toBe(null);
});

test("what has to be decided stands before what is in force, and operators see a proposal once it alarms them", () => {
  const proposed = event({ mass_event: "m-2", in_force: false, operator: null, until: null });
  const told = { ...NONE, audience: "supervisors" as const, events: [event({}), proposed] };
  expect(shown(told, true).map((one) => one.mass_event)).toEqual(["m-2", "m-1"]);
  expect(shown(told, false).map((one) => one.mass_event)).toEqual(["m-1"]);
  expect(shown({ ...told, audience: "everybody" }, false)).toHaveLength(2);
});

test("an area is typed as codes or as a circle, in full width as well, and anything else is none", () => {
  expect(area("JP-13, 14100")).toEqual({ codes: ["JP-13", "14100"] });
  expect(area("１３１０４、jp-12")).toEqual({ codes: ["13104", "JP-12"] });
  expect(area("13101 13102 13103")).toEqual({ codes: ["13101", "13102", "13103"] });
  expect(area("35.69, 139.7, 20")).toEqual({ latitude: 35.69, longitude: 139.7, radius_km: 20 });
  for (const wrong of ["", "東京", "35.69, 139.7", "135, 139.7, 20", "35.69, 139.7, 900", "1310"]) expect(area(wrong)).toBe(null);
  expect(area(typed(event({})))).toEqual({ codes: ["JP-13"] });
  expect(typed(event({ area: { latitude: 35.69, longitude: 139.7, radius_km: 20 } }))).toBe("35.69, 139.7, 20");
});
