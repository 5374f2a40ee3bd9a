import { expect, test } from "vitest";
import { HEIGHT, LENGTH, Painter, Rolling, STEP, WIDTH, height, type Reading, type Surface } from "./waveform";

const loud: Reading = { rms: -20, peak: -12, speaking: true };
const faint: Reading = { rms: -58, peak: -50, speaking: false };
const tenth = (n: number): number => n * 100 + 30;

class Canvas implements Surface {
  fillStyle = "";
  shifts: number[] = [];
  bars: { colour: string; x: number; high: number }[] = [];

  fillRect(x: number, _y: number, _width: number, high: number): void {
    this.bars.push({ colour: this.fillStyle, x, high });
  }

  shift(pixels: number): void {
    this.shifts.push(pixels);
  }
}

const colours = { ground: "ground", speaking: "speaking", peak: "peak", voice: "voice", noise: "noise" };

test("what was heard is found again by its tenth of a second, for half a minute", () => {
  const rolling = new Rolling();
  for (let n = 0; n < LENGTH + 50; n += 1) rolling.push(tenth(n), { ...loud, rms: -(n % 60) });
  expect(rolling.newest).toBe(LENGTH + 49);
  expect(rolling.at(LENGTH + 49).rms).toBe(-((LENGTH + 49) % 60));
  expect(rolling.at(50).rms).toBe(-50);
  expect(rolling.at(49).rms).toBe(-127);
  expect(rolling.at(LENGTH + 50).rms).toBe(-127);
});

test("tenths of a second in which nothing came are silent, also after a pause longer than the ring", () => {
  const rolling = new Rolling();
  rolling.push(tenth(0), loud);
  rolling.push(tenth(5), faint);
  expect([0, 1, 4, 5].map((n) => rolling.at(n).rms)).toEqual([-20, -127, -127, -58]);
  rolling.push(tenth(5 + 3 * LENGTH), loud);
  for (let n = 6 + 2 * LENGTH; n < 5 + 3 * LENGTH; n += 1) expect(rolling.at(n).rms).toBe(-127);
});

test("of two readings in one tenth of a second the louder counts, and time never goes back", () => {
  const rolling = new Rolling();
  rolling.push(tenth(3), loud);
  rolling.push(tenth(3), faint);
  rolling.push(tenth(1), loud);
  expect(rolling.newest).toBe(3);
  expect(rolling.at(3)).toEqual(loud);
  expect(rolling.at(1).rms).toBe(-127);
});

test("it says who speaks, and how long somebody has been silent", () => {
  const rolling = new Rolling();
  expect(rolling.speaking).toBe(false);
  expect(rolling.silent_s).toBeNull();
  rolling.push(tenth(0), loud);
  expect([rolling.speaking, rolling.silent_s]).toEqual([true, 0]);
  rolling.push(tenth(25), faint);
  expect([rolling.speaking, rolling.silent_s]).toEqual([false, 2]);
  rolling.push(tenth(LENGTH), faint);
  expect(rolling.silent_s).toBeNull();
});

test("loudness becomes height, from the noise of a room to shouting", () => {
  expect([-127, -60, -30, 0].map(height)).toEqual([0, 0, 0.5, 1]);
});

test("the first picture is painted whole, the next ones only where they are new", () => {
  const rolling = new Rolling();
  const canvas = new Canvas();
  const painter = new Painter(canvas, colours);
  rolling.push(tenth(LENGTH), loud);
  expect(painter.paint(rolling)).toBe(LENGTH);
  expect(canvas.shifts).toEqual([]);
  canvas.bars = [];

  expect(painter.paint(rolling)).toBe(0);
  rolling.push(tenth(LENGTH + 2), loud);
  expect(painter.paint(rolling)).toBe(2);

  expect(canvas.shifts).toEqual([2 * STEP]);
  expect(new Set(canvas.bars.map(({ x }) => x))).toEqual(new Set([WIDTH - 2 * STEP, WIDTH - STEP]));
  const newest = canvas.bars.filter(({ x }) => x === WIDTH - STEP);
  expect(newest.map(({ colour }) => colour)).toEqual(["speaking", "peak", "voice"]);
  expect(newest[0]?.high).toBe(HEIGHT);
});

test("a page that was away for long paints everything anew", () => {
  const rolling = new Rolling();
  const painter = new Painter(new Canvas(), colours);
  rolling.push(tenth(0), loud);
  painter.paint(rolling);
  rolling.push(tenth(10 * LENGTH), loud);
  expect(painter.paint(rolling)).toBe(LENGTH);
});
