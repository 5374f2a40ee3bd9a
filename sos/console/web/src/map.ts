/**
 * The map of the scene: position, uncertainty, heading and track on the offline base map.  Loaded on demand.
 * The worker of MapLibre 6 is a file of its own and must be named, or the map stays empty.
 */

import { Map as Canvas, Marker, NavigationControl, ScaleControl, setWorkerUrl, type GeoJSONSource } from "maplibre-gl";
import "maplibre-gl/dist/maplibre-gl.css";
import workerUrl from "maplibre-gl/dist/maplibre-gl-worker.mjs?worker&url";
import { short } from "./format";
import type { Language } from "./i18n.svelte";
import type { Spot } from "./oneCrash";
import type { Location } from "./protocol";

type Point = [number, number];
type Located = Location & { latitude: number; longitude: number };

const JAPAN: [Point, Point] = [
  [127.5, 30.2],
  [146.2, 45.6],
];
const SEA = "#dbe6ee";
const LAND = "#f7f5ef";
const EMPTY: GeoJSON.FeatureCollection = { type: "FeatureCollection", features: [] };
/** From this zoom on a name stands in every visible piece of an area, not only in its middle. */
const NEAR = 8;
const METRES_PER_DEGREE = 111_320;

export interface SceneMap {
  show(location: Located | null, prefecture: string | null): void;
  /** The other cars of the crash. */
  others(spots: readonly Spot[]): void;
  /** Names on the map in this language; `title` is what the map is to who does not see it. */
  speak(language: Language, title: string): void;
  zoom(level: number): void;
  remove(): void;
}

export async function openMap(element: HTMLElement, language: Language): Promise<SceneMap> {
  const answer = await fetch("/console/map/base.geojson");
  if (!answer.ok) throw new Error(`base map: ${answer.status}`);
  const base = (await answer.json()) as GeoJSON.FeatureCollection;
  setWorkerUrl(workerUrl);
  const map = new Canvas({
    container: element,
    bounds: JAPAN,
    attributionControl: false,
    dragRotate: false,
    pitchWithRotate: false,
    touchPitch: false,
    maxZoom: 16,
    localIdeographFontFamily: '"Noto Sans CJK JP", "Hiragino Sans", "Yu Gothic UI", sans-serif',
    style: {
      version: 8,
      sources: {
        base: { type: "geojson", data: base },
        names: { type: "geojson", data: names(base) },
        scene: { type: "geojson", data: EMPTY },
      },
      layers: [
        { id: "sea", type: "background", paint: { "background-color": SEA } },
        { id: "land", type: "fill", source: "base", paint: { "fill-color": LAND } },
        {
          id: "here",
          type: "fill",
          source: "base",
          filter: ["==", ["get", "code"], ""],
          paint: { "fill-color": "#e3ecdf" },
        },
        { id: "border", type: "line", source: "base", paint: { "line-color": "#8798a5", "line-width": 1 } },
        {
          id: "name",
          type: "symbol",
          source: "names",
          maxzoom: NEAR,
          layout: {
            "text-field": ["get", `name_${language}`],
            "text-size": ["interpolate", ["linear"], ["zoom"], 4, 10, 8, 14],
            "text-font": ["Noto Sans CJK JP"],
          },
          paint: { "text-color": "#44525d", "text-halo-color": "#ffffff", "text-halo-width": 1.4 },
        },
        {
          id: "name-near",
          type: "symbol",
          source: "base",
          minzoom: NEAR,
          layout: { "text-field": ["get", `name_${language}`], "text-size": 14, "text-font": ["Noto Sans CJK JP"] },
          paint: { "text-color": "#44525d", "text-halo-color": "#ffffff", "text-halo-width": 1.4 },
        },
        {
          id: "uncertainty",
          type: "fill",
          source: "scene",
          filter: ["==", ["get", "what"], "uncertainty"],
          paint: { "fill-color": "#1f5f99", "fill-opacity": 0.16 },
        },
        {
          id: "uncertainty-edge",
          type: "line",
          source: "scene",
          filter: ["==", ["get", "what"], "uncertainty"],
          paint: { "line-color": "#1f5f99", "line-width": 1.5, "line-dasharray": [3, 2] },
        },
        {
          id: "track",
          type: "line",
          source: "scene",
          filter: ["==", ["get", "what"], "track"],
          paint: { "line-color": "#1f5f99", "line-width": 3 },
        },
        {
          id: "fixes",
          type: "circle",
          source: "scene",
          filter: ["==", ["get", "what"], "fix"],
          paint: {
            "circle-radius": 4,
            "circle-color": "#ffffff",
            "circle-stroke-color": "#1f5f99",
            "circle-stroke-width": 2,
          },
        },
      ],
    },
  });
  map.touchZoomRotate.disableRotation();
  map.keyboard.disableRotation();
  map.addControl(new NavigationControl({ showCompass: false }), "top-right");
  map.addControl(new ScaleControl({ unit: "metric" }), "bottom-right");
  const resized = new ResizeObserver(() => map.resize());
  resized.observe(element);
  await new Promise<void>((resolve, reject) => {
    map.once("load", () => resolve());
    map.once("error", ({ error }) => reject(error));
  });

  let marker: Marker | null = null;
  let others: Marker[] = [];
  let [shown, drawn, beside] = ["", "", ""];
  return {
    show(location, prefecture) {
      const wanted = JSON.stringify([location, prefecture]);
      if (wanted === drawn) return; // every event of the floor comes by here, and drawing costs the whole canvas
      drawn = wanted;
      map.setFilter("here", ["==", ["get", "code"], prefecture ?? ""]);
      map.getSource<GeoJSONSource>("scene")?.setData(location ? scene(location) : EMPTY);
      const key = location ? `${location.latitude},${location.longitude}` : "";
      if (key === shown) return;
      shown = key;
      marker?.remove();
      marker = null;
      if (location === null) {
        map.fitBounds(JAPAN, { duration: 0 });
        return;
      }
      marker = new Marker({ element: pin(location), rotationAlignment: "map" })
        .setLngLat([location.longitude, location.latitude])
        .addTo(map);
      map.jumpTo({ center: [location.longitude, location.latitude], zoom: 10 });
    },
    others(spots) {
      const wanted = JSON.stringify(spots);
      if (wanted === beside) return;
      beside = wanted;
      for (const one of others) one.remove();
      others = spots.map((spot) =>
        new Marker({ element: otherCar(spot) }).setLngLat([spot.longitude, spot.latitude]).addTo(map),
      );
    },
    speak(next, title) {
      map.getCanvas().setAttribute("aria-label", title);
      for (const layer of ["name", "name-near"]) map.setLayoutProperty(layer, "text-field", ["get", `name_${next}`]);
    },
    zoom(level) {
      map.easeTo({ zoom: level, duration: 250 });
    },
    remove() {
      resized.disconnect();
      map.remove();
    },
  };
}

/** A square with the end of its number: another car of the crash, apart from the ring by its shape. */
function otherCar(spot: Spot): HTMLElement {
  const element = document.createElement("div");
  element.setAttribute("aria-hidden", "true");
  element.dataset["testid"] = "marker-other";
  element.textContent = short(spot.incident).slice(-4);
  element.style.cssText =
    "padding:2px 4px;background:#ffffff;border:3px solid #b3261e;color:#1b242b;font:600 11px sans-serif";
  return element;
}

/** One point per area for its name: the middle of its largest ring, so that small islands repeat nothing. */
function names(base: GeoJSON.FeatureCollection): GeoJSON.FeatureCollection {
  const features = base.features.flatMap(({ geometry, properties }): GeoJSON.Feature[] => {
    const polygons =
      geometry.type === "MultiPolygon" ? geometry.coordinates : geometry.type === "Polygon" ? [geometry.coordinates] : [];
    const boxes = polygons.flatMap(([ring]) => (ring ? [box(ring)] : []));
    const largest = boxes.sort((a, b) => b.area - a.area)[0];
    if (largest === undefined) return [];
    return [{ type: "Feature", properties, geometry: { type: "Point", coordinates: largest.centre } }];
  });
  return { type: "FeatureCollection", features };
}

function box(ring: readonly GeoJSON.Position[]): { area: number; centre: Point } {
  const longitudes = ring.map(([longitude = 0]) => longitude);
  const latitudes = ring.map(([, latitude = 0]) => latitude);
  const [west, east] = [Math.min(...longitudes), Math.max(...longitudes)];
  const [south, north] = [Math.min(...latitudes), Math.max(...latitudes)];
  const centre: Point = [(west + east) / 2, (south + north) / 2];
  return { area: (east - west) * (north - south), centre };
}

/** A ring with a dot, and a wedge that points where the vehicle was heading. */
function pin(location: Located): HTMLElement {
  const svg = "http://www.w3.org/2000/svg";
  const drawing = document.createElementNS(svg, "svg");
  for (const [name, value] of Object.entries({ viewBox: "-30 -30 60 60", width: "60", height: "60" }))
    drawing.setAttribute(name, value);
  const add = (tag: string, attributes: Record<string, string>): void => {
    const part = document.createElementNS(svg, tag);
    for (const [name, value] of Object.entries(attributes)) part.setAttribute(name, value);
    drawing.append(part);
  };
  if (location.heading !== undefined)
    add("path", {
      d: "M0 -28 L9 -11 L-9 -11 Z",
      fill: "#b3261e",
      stroke: "#ffffff",
      "stroke-width": "1.5",
      transform: `rotate(${location.heading})`,
    });
  add("circle", { r: "10", fill: "#b3261e", stroke: "#ffffff", "stroke-width": "3" });
  add("circle", { r: "3.5", fill: "#ffffff" });
  const element = document.createElement("div");
  element.setAttribute("aria-hidden", "true");
  element.dataset["testid"] = "marker";
  element.append(drawing);
  return element;
}

function scene(location: Located): GeoJSON.FeatureCollection {
  const centre: Point = [location.longitude, location.latitude];
  const earlier = [...(location.recent ?? [])].sort((a, b) => (b.ageSeconds ?? 0) - (a.ageSeconds ?? 0));
  const track: Point[] = [...earlier.map((fix): Point => [fix.longitude, fix.latitude]), centre];
  const features: GeoJSON.Feature[] = [];
  const add = (what: string, geometry: GeoJSON.Geometry): void => {
    features.push({ type: "Feature", properties: { what }, geometry });
  };
  if (location.horizontalAccuracy !== undefined)
    add("uncertainty", { type: "Polygon", coordinates: [circle(centre, location.horizontalAccuracy)] });
  if (track.length > 1) add("track", { type: "LineString", coordinates: track });
  for (const coordinates of track.slice(0, -1)) add("fix", { type: "Point", coordinates });
  return { type: "FeatureCollection", features };
}

function circle([longitude, latitude]: Point, radius_m: number): Point[] {
  const north = radius_m / METRES_PER_DEGREE;
  const east = north / Math.cos((latitude * Math.PI) / 180);
  return Array.from({ length: 65 }, (_, step): Point => {
    const angle = (step / 64) * 2 * Math.PI;
    return [longitude + east * Math.sin(angle), latitude + north * Math.cos(angle)];
  });
}
