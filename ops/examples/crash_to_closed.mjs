// Report a crash and follow it until it is closed.  Node 18 or newer, no package.
//
// SOS_URL=https://sos.example.com SOS_KEY=... node crash_to_closed.mjs
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";

const { SOS_URL: url, SOS_KEY: key } = process.env;
const PAUSE_MS = 1000;

// What failed for a moment is asked again, which is safe: the event's `id` names the report.
async function ask(method, path, body, headers = {}) {
  for (let left = 4; ; left--) {
    const answer = await fetch(url + path, {
      method,
      body,
      headers: { Authorization: `Bearer ${key}`, ...headers },
      signal: AbortSignal.timeout(10_000),
    }).catch((error) => {
      if (!left) throw error;
    });
    if (answer?.ok) return answer.json();
    const again = !answer || [404, 408, 429, 503].includes(answer.status); // 404: a spooled report is not in the database yet
    if (!again || !left) throw new Error(`${answer.status}: ${await answer.text()}`);
    await pause(PAUSE_MS);
  }
}

const now = new Date().toISOString();
const event = {
  specversion: "1.0",
  id: randomUUID(),
  source: "/oem/acme/tcu/4f2a",
  type: "jp.example.sos.crash.v1",
  time: now,
  datacontenttype: "application/json",
  data: {
    trigger: "automatic",
    eventTime: now,
    vehicle: { id: { scheme: "vin", value: "JTMZZ3TESTEC00001" }, model: "X", exteriorColor: "white" },
    location: { latitude: 35.681236, longitude: 139.767125, horizontalAccuracy: 8, timestamp: now },
    crash: { impact: "front", deltaV: { x: -45, y: 10, unit: "km/h" } },
    occupants: { count: 2 },
    callback: { tel: "+81355500100", language: "ja" },
  },
};
const taken = await ask("POST", "/v1/events", JSON.stringify(event), { "Content-Type": "application/cloudevents+json" });
console.log("reported", taken.incident, taken.durability);

for (let seen = -1, status = ""; status !== "closed"; await pause(PAUSE_MS)) {
  const told = await ask("GET", `/v1/incidents/${taken.incident}`);
  ({ status } = told);
  if (told.version > seen) console.log(status);
  seen = told.version;
}
