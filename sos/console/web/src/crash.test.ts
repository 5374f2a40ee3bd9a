import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { type CrashFacts, crashFacts, joined } from "./crash";
import type { Answered } from "./parts";
import type { Crash, Vehicle } from "./protocol";

interface Case {
  name: string;
  SEV: Crash | null;
  VEH: Vehicle | null;
  heard?: readonly Answered[];
  facts: CrashFacts;
}
const CASES = JSON.parse(
  readFileSync(new URL("../../../../tests/routing/brief/crash_facts.json", import.meta.url), "utf8"),
) as Case[];

test.each(CASES)("the desk has the facts that the brief has: $name", ({ SEV, VEH, heard, facts }) => {
  expect(crashFacts(SEV, VEH, heard)).toEqual(facts);
});

test("of two reports the harder impact stands whole", () => {
  const hard = { deltaVX: -5, deltaVY: 95 };
  expect(joined(hard, { deltaVX: -8, fire: true })).toEqual({ ...hard, fire: true });
  expect(joined({ deltaVX: -5, deltaVY: 9 }, { deltaV: 60 })).toEqual({ deltaV: 60 });
  expect(joined({ deltaV: 60, fire: true }, { impact: "rear" })).toEqual({ deltaV: 60, fire: true, impact: "rear" });
});
