import { expect, it } from "vitest";
import { concerns, linkable, spots } from "./oneCrash";
import type { CarOfCrash, CrashView } from "./protocol";
import { fresh } from "./state";

const car = (incident: string, latitude: number | null): CarOfCrash => ({
  incident,
  tenant: "acme",
  share: "vehicle",
  state: "in_call",
  trigger: "automatic",
  operator: "hanako",
  disposition: null,
  opened: true,
  occupants: null,
  hazards: [],
  severe: null,
  latitude,
  longitude: latitude === null ? null : 139.7,
  accuracy_m: null,
  trusted: null,
  place: "",
  look: "",
  told: [],
});
const CRASH: CrashView = {
  crash_id: "c",
  number: "482193",
  vehicles: 3,
  occupants: null,
  unknown: 3,
  cars: [car("a", 35.1), car("b", 35.2), car("c", null)],
};

it("the map has the other cars whose place is known, and none while another crash is selected", () => {
  expect(spots(CRASH, "a").map((spot) => spot.incident)).toEqual(["b"]);
  expect(spots(CRASH, "z")).toEqual([]);
  expect(spots(null, "a")).toEqual([]);
});

it("what happens to any car of it makes the view of a crash old, and nothing else does", () => {
  expect(concerns(CRASH, { incident: "c" })).toBe(true);
  expect(concerns(CRASH, { incident: "d" })).toBe(false);
});

it("by hand only what is open, of the same mode and not linked already can be linked", () => {
  const linked = { crash_id: "c", number: "1", cars: [{ incident: "b", share: "vehicle" as const, of: null }], told: [] };
  const mine = { ...fresh("a", "acme"), linked };
  const all = [
    mine,
    fresh("b", "acme"),
    fresh("c", "bravo"),
    { ...fresh("d", "acme"), state: "closed" as const },
    { ...fresh("e", "acme"), mode: "drill" as const },
    fresh("f", "acme"),
  ];

  expect(linkable(mine, all).map((one) => one.id)).toEqual(["f", "c"]);
});
