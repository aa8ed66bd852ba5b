"use strict";
/* One case in a notebook, one plane at a time. The arrays' axes run towards head, back and left, where that is known. */
/* global outlineOf, drawLines */

const LOWEST = 0.05; // below nothing is coloured
const COLOURS = [[0, 32, 76], [86, 92, 108], [166, 156, 117], [255, 233, 69]]; // four points of cividis, evenly spaced
const ABDOMEN = { level: [-1000, 1500, 55], width: [1, 3000, 330] }; // HU: least, most, and where the window begins

/* The axis across, those along height and width, whether height runs up, and the letters at left, right, bottom and top. */
const PLANES = {
  axial: { across: 0, rows: 1, columns: 2, up: false, sides: "RLPA" },
  coronal: { across: 1, rows: 0, columns: 2, up: true, sides: "RLIS" },
  sagittal: { across: 2, rows: 0, columns: 1, up: true, sides: "APIS" },
};

const find = (id) => document.getElementById(id);
const content = JSON.parse(find("content").textContent);
const canvas = document.querySelector("canvas");

async function unpack({ type, data }) {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const buffer = await new Response(stream).arrayBuffer();
  return type === "int16" ? new Int16Array(buffer) : new Float32Array(buffer);
}

function colourOf(value) {
  const place = Math.min(Math.max(value, 0), 1) * (COLOURS.length - 1);
  const low = Math.min(Math.floor(place), COLOURS.length - 2);
  return COLOURS[low].map((from, k) => Math.round(from + (place - low) * (COLOURS[low + 1][k] - from)));
}

/** The voxels of the chosen plane: how to step through them, and where they are in the canvas. */
function cut(plane, scale) {
  const { shape, spacing } = content;
  const step = [shape[1] * shape[2], shape[2], 1];
  const size = [shape[plane.columns], shape[plane.rows]];
  const sides = [size[0] * spacing[plane.columns], size[1] * spacing[plane.rows]]; // mm
  const zoom = Math.min(canvas.width / sides[0], canvas.height / sides[1]);
  const [width, height] = sides.map((side) => side * zoom);
  const [left, top] = [(canvas.width - width) / 2, (canvas.height - height) / 2];
  const place = {
    a: width / size[0], b: 0, c: 0, d: (plane.up ? -height : height) / size[1], e: left, f: plane.up ? top + height : top,
  };
  const first = Number(find("slice").value) * step[plane.across];
  return { first, size, step: [step[plane.columns], step[plane.rows]], place, scale };
}

function paint(context, part, colour, alpha) {
  const [nu, nv] = part.size;
  const image = new ImageData(nu, nv);
  for (let v = 0, at = 0; v < nv; v++)
    for (let u = 0; u < nu; u++, at += 4) {
      const shade = colour(part.first + u * part.step[0] + v * part.step[1]);
      if (shade) image.data.set([...shade, 255], at);
    }
  const picture = Object.assign(document.createElement("canvas"), { width: nu, height: nv });
  picture.getContext("2d").putImageData(image, 0, 0);
  context.setTransform(part.place);
  context.imageSmoothingEnabled = false;
  context.globalAlpha = alpha;
  context.drawImage(picture, 0, 0);
  context.globalAlpha = 1;
  context.resetTransform();
}

function letters(context, sides, scale) {
  const { width, height } = canvas;
  const far = 14 * scale;
  const places = [[far, height / 2], [width - far, height / 2], [width / 2, height - far], [width / 2, far]];
  context.font = `${14 * scale}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.lineWidth = 3 * scale;
  for (const [k, at] of places.entries()) {
    context.strokeStyle = "#000";
    context.strokeText(sides[k], ...at);
    context.fillStyle = "#fff";
    context.fillText(sides[k], ...at);
  }
}

function draw(volumes) {
  const scale = window.devicePixelRatio || 1;
  const { width, height } = canvas.getBoundingClientRect();
  Object.assign(canvas, { width: Math.round(width * scale), height: Math.round(height * scale) });
  const context = canvas.getContext("2d");
  const plane = PLANES[find("plane").value];
  const part = cut(plane, scale);
  const [level, span] = [Number(find("window-level").value), Number(find("window-width").value)];
  const grey = (at) => {
    const shade = ((volumes.ct[at] - level) / span + 0.5) * 255;
    return [shade, shade, shade];
  };
  if (volumes.ct) paint(context, part, grey, 1);
  const map = volumes[find("map").value];
  if (map) paint(context, part, (at) => map[at] >= LOWEST && colourOf(map[at]), Number(find("opacity").value) / 100);
  const threshold = Math.fround(content.levels[Number(find("level").value)].threshold);
  const styles = [["response", { colour: "#ffffff", dash: [] }], ["raters", { colour: "#ff9d2e", dash: [6, 3] }]];
  for (const [name, style] of styles) {
    const path = volumes[name] && outlineOf(volumes[name], part, threshold);
    if (path) drawLines(context, path, part.place, { ...style, scale });
  }
  if (content.upright) letters(context, plane.sides, scale);
  const { across } = plane;
  find("slice-text").textContent = `${content.first[across] + Number(find("slice").value) + 1} of ${content.whole[across]}`;
  find("level-text").textContent = content.levels[Number(find("level").value)].label;
  for (const id of ["opacity", "window-level", "window-width"]) find(`${id}-text`).textContent = Number(Number(find(id).value).toPrecision(4));
}

/** Go to the slice that holds most. */
function choosePlane(volumes) {
  const { across } = PLANES[find("plane").value];
  const n = content.shape[across];
  const map = volumes[Object.keys(content.names)[0]];
  const sums = new Float64Array(n);
  const step = [content.shape[1] * content.shape[2], content.shape[2], 1][across];
  for (let at = 0; at < map.length; at++) sums[Math.floor(at / step) % n] += map[at];
  Object.assign(find("slice"), { max: n - 1, value: sums.indexOf(Math.max(...sums)) });
}

function chooseWindow(ct) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of ct) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  const reach = Math.max(high - low, 1e-6);
  const { level, width } = content.hounsfield
    ? ABDOMEN
    : { level: [low, high, (low + high) / 2], width: [reach / 200, reach, reach] };
  for (const [id, [min, max, value]] of [["window-level", level], ["window-width", width]])
    Object.assign(find(id), { min, max, step: content.hounsfield ? 1 : reach / 200, value });
}

async function start() {
  const volumes = {};
  for (const [name, packed] of Object.entries(content.volumes)) volumes[name] = await unpack(packed);
  document.querySelector("h1").textContent = content.title;
  const planes = Object.keys(PLANES).filter((name) => content.whole[PLANES[name].across] > 1);
  find("plane").append(...(planes.length === 3 ? planes : ["axial"]).map((name) => new Option(name)));
  find("plane").parentElement.hidden = planes.length < 3;
  find("slice").parentElement.hidden = content.whole[0] === 1;
  const lines = { response: "white: predicted", raters: "orange, dashed: raters" };
  find("lines").textContent = Object.keys(lines).filter((name) => name in volumes).map((name) => lines[name]).join("; ");
  find("map").append(...Object.entries(content.names).map(([name, title]) => new Option(title, name)), new Option("none", ""));
  Object.assign(find("level"), { max: content.levels.length - 1, value: Math.floor((content.levels.length - 1) / 2) });
  find("bar").style.background = `linear-gradient(90deg, ${COLOURS.map((colour) => `rgb(${colour})`).join(", ")})`;
  find("window").hidden = !volumes.ct;
  if (volumes.ct) chooseWindow(volumes.ct);
  const parts = content.shape.join(" × ");
  find("note").textContent =
    `Shown: ${parts} of ${content.whole.join(" × ")} voxels (z, y, x), around the structure, at full resolution. ` +
    `Below ${LOWEST} nothing is coloured.` + (content.upright ? " The patient's right is on the left." : "");
  choosePlane(volumes);
  find("plane").addEventListener("input", () => choosePlane(volumes));
  document.querySelector("form").addEventListener("input", () => draw(volumes));
  new ResizeObserver(() => draw(volumes)).observe(document.body);
  canvas.addEventListener("wheel", (event) => move(event, "slice", -Math.sign(event.deltaY)), { passive: false });
  const keys = { ArrowUp: ["slice", 1], ArrowDown: ["slice", -1], "[": ["level", -1], "]": ["level", 1] };
  canvas.addEventListener("keydown", (event) => keys[event.key] && move(event, ...keys[event.key]));
  const move = (event, id, by) => {
    event.preventDefault();
    find(id).value = Number(find(id).value) + by;
    draw(volumes);
  };
  draw(volumes);
  document.body.dataset.state = "ready";
}

start();
