import { readFileSync, readdirSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { describe, expect, test } from "vitest";
import type { Happened, Incident } from "./protocol";
import { KINDS_WITH_EFFECT, TRANSITIONS, evolve, fresh } from "./state";

const ROOT = new URL("../../../../", import.meta.url);
const JOURNEYS = new URL("tests/journeys/", ROOT);

interface Journey {
  name: string;
  events: Happened[];
  expect: Partial<Incident>;
}

/** Instants are equal when they are the same moment, however they are written. */
function comparable(value: unknown, key = ""): unknown {
  if (typeof value === "string" && (key === "at" || key.endsWith("_at"))) return Date.parse(value);
  if (Array.isArray(value)) return value.map((one) => comparable(one));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, comparable(one, name)]));
}

describe("the reducer agrees with the service", () => {
  const files = readdirSync(JOURNEYS).filter((name) => name.endsWith(".json"));

  test("there are journeys to go", () => expect(files.length).toBeGreaterThan(0));

  test.each(files)("%s", (file) => {
    const journey = JSON.parse(readFileSync(new URL(file, JOURNEYS), "utf8")) as Journey;
    const after = journey.events.reduce(evolve, fresh("i", "t"));
    expect(comparable(after)).toMatchObject(comparable(journey.expect) as object);
    expect(after.version).toBe(journey.events.length);
  });

  test("the table is the one of lifecycle.py", () => {
    const python = readFileSync(new URL("sos/incident/lifecycle.py", ROOT), "utf8");
    const table = /^TRANSITIONS[\s\S]*?^\)/m.exec(python)?.[0] ?? "";
    const theirs: Record<string, Record<string, string>> = {};
    let before = "none";
    for (const line of table.split("\n")) {
      before = /^ {8}State\.([A-Z_]+): \{/.exec(line)?.[1]?.toLowerCase() ?? before;
      for (const [, kind, after] of line.matchAll(/e\.(\w+): State\.([A-Z_]+)/g))
        (theirs[before] ??= {})[kind!] = after!.toLowerCase();
    }
    expect(TRANSITIONS).toEqual(theirs);
  });

  test("every effect of lifecycle.py and its parts has its twin", () => {
    const folder = new URL("sos/incident/", ROOT);
    const kinds = readdirSync(folder).filter((name) => name.endsWith(".py")).flatMap((name) => {
      const table = /^_?EFFECTS[\s\S]*?^\)/m.exec(readFileSync(new URL(name, folder), "utf8"))?.[0] ?? "";
      return [...table.matchAll(/^ {8}e\.(\w+):/gm)].map(([, kind]) => kind);
    });
    expect([...KINDS_WITH_EFFECT].sort()).toEqual(kinds.sort());
  });
});

/** `ops/check_console.py` names a file of them; without it (`npm test` alone) there are only the journeys. */
const STORIES = process.env["SOS_STORIES"];

interface Told {
  seed: number;
  chapters: readonly { events: Happened[]; expect: Partial<Incident> }[];
}

test.skipIf(STORIES === undefined)("the reducer agrees with the service in every seeded story, chapter by chapter", () => {
  const stories = JSON.parse(readFileSync(STORIES!, "utf8")) as Told[];
  const differing = stories.flatMap(({ seed, chapters }) => {
    let incident = fresh("i", "t");
    for (const { events, expect: wanted } of chapters) {
      incident = events.reduce(evolve, incident);
      const { id: _, tenant: __, ...known } = incident;
      const theirs = comparable(wanted) as Record<string, unknown>;
      const ours = comparable(known) as Record<string, unknown>;
      const names = Object.keys({ ...theirs, ...ours }).filter((name) => !isDeepStrictEqual(ours[name], theirs[name]));
      if (names.length > 0) return [{ seed, after: incident.version, names, ours: ours[names[0]!], theirs: theirs[names[0]!] }];
    }
    return [];
  });
  expect(stories.length).toBeGreaterThan(300);
  expect(differing.slice(0, 3)).toEqual([]);
});

test("an event of a kind unknown here raises the version and nothing else", () => {
  const before = evolve(fresh("i", "t"), opened());
  const after = evolve(before, { n: 2, kind: "SomethingNew", at: "2026-01-01T00:00:01Z", actor: "x", data: {} });
  expect(after).toEqual({ ...before, version: 2 });
});

function opened(): Happened {
  const data = { mode: "live", trigger: "automatic", readable: true };
  return { n: 1, kind: "IncidentOpened", at: "2026-01-01T00:00:00Z", actor: "vehicle", data };
}
