/* The settings beside the planes, and what is read off there. */
import { LOWEST, PLANES } from "./overlay.js";

const find = (id) => document.getElementById(id);

/** Windows in HU: black and white. */
const WINDOWS = { abdomen: [-110, 220], lung: [-1250, 250], bone: [-450, 1050] };
const WHOLE = "whole range";
const AIR = -200; // HU: a CT holds values below, images of other kinds hardly
const CLOSE = 3;

/** The settings of the case that is shown. */
export class Panel {
  /** @param {Planes} planes What is set. */
  constructor(planes) {
    this.planes = planes;
    this.case = null;
    this.sliders = new Map();
    find("lowest").textContent = String(LOWEST);
    this.makeSliders();
    this.listen();
  }

  /** Take everything of the last case off the page. */
  clear() {
    this.case = null;
    for (const id of ["flags", "facts", "notes", "readout", "map"]) find(id).replaceChildren();
    find("flags").hidden = true;
  }

  /** Say what a case is, and set everything to its beginning. */
  show(described) {
    this.case = described;
    this.names = new Map(described.volumes.slice(1));
    fill(find("flags"), described.flags.map((text) => `Unlike the calibration cases: ${text}`));
    find("flags").hidden = described.flags.length === 0;
    fill(find("notes"), described.notes);
    find("facts").replaceChildren(...described.facts.flatMap(pair));
    find("raters-line").hidden = !this.names.has("raters");
    find("map").append(...[...this.names].map(([name, title]) => new Option(title, name)), new Option("none", ""));
    Object.assign(find("level"), { max: described.levels.length - 1, value: Math.floor((described.levels.length - 1) / 2) });
    for (const [name, { slider, box }] of this.sliders) {
      box.hidden = described.flat || this.planes.count(name) === 1;
      slider.max = this.planes.count(name) - 1;
    }
    find("layout").value = this.planes.count("axial") === 1 ? "axial" : "all";
    find("layout").parentElement.querySelector("label[for=layout]").hidden = find("layout").hidden = described.flat;
    find("window").hidden = !described.has_ct;
    find("convention").hidden = !described.known || described.flat;
    this.planes.arrange(find("layout").value);
    this.drawBar();
    this.planes.setSmooth(find("smooth").checked);
    this.planes.colourBy(find("map").value);
    this.setOpacity();
    this.toStructure(false);
    this.setContours();
  }

  /** Follow the planes: a slice was changed, the picture moved, the window dragged. */
  follow() {
    if (!this.case) return;
    for (const [name, { slider, output }] of this.sliders) {
      slider.value = this.planes.slice(name);
      output.textContent = `${this.planes.slice(name) + 1} of ${this.planes.count(name)}`;
      slider.setAttribute("aria-valuetext", this.planes.caption(name).join(", "));
    }
    find("zoom").value = this.planes.zoom;
    find("zoom-text").textContent = `${this.planes.zoom.toFixed(2).replace(/\.?0+$/, "")} ×`;
    this.readOff();
    this.readWindow();
  }

  readOff() {
    const rows = [];
    if (this.case.has_ct) rows.push(["CT", `${round(this.planes.baseValue())}${this.hounsfield ? " HU" : ""}`]);
    for (const [name, title] of this.names) {
      const value = this.planes.mapValue(name);
      const votes = name === "raters" ? ` (${Math.round(value * this.case.n_raters)} of ${this.case.n_raters})` : "";
      rows.push([title, value.toFixed(3) + votes]);
    }
    find("readout").replaceChildren(...rows.flatMap(pair));
  }

  setContours() {
    if (!this.case) return;
    const { label, threshold } = this.case.levels[Number(find("level").value)];
    find("level-text").textContent = label;
    find("level").setAttribute("aria-valuetext", label);
    // Pitfall: maps are float32; 0.7 as they hold it lies below the number 0.7.
    const wanted = { threshold: Math.fround(threshold) };
    const contours = [];
    if (find("contour").checked) contours.push({ ...wanted, map: "response", style: "predicted" });
    if (find("raters-contour").checked && this.names.has("raters")) contours.push({ ...wanted, map: "raters", style: "raters" });
    this.planes.setContours(contours);
  }

  setOpacity() {
    find("opacity-text").textContent = `${find("opacity").value} %`;
    this.planes.setOpacity(Number(find("opacity").value) / 100);
  }

  drawBar() {
    const { colours } = this.planes;
    find("bar").querySelector("canvas").getContext("2d").putImageData(new ImageData(colours, colours.length / 4, 1), 0, 0);
  }

  toStructure(close) {
    const found = this.planes.goTo("response") || (this.names.has("raters") && this.planes.goTo("raters"));
    if (close && found) this.planes.setZoom(Math.max(CLOSE, this.planes.zoom));
  }

  /** Offer the windows that fit an image; give the first one. */
  firstWindow(base) {
    this.range = rangeOf(base);
    this.hounsfield = this.range[0] < AIR;
    const presets = [...(this.hounsfield ? Object.keys(WINDOWS) : []), WHOLE];
    find("preset").replaceChildren(...presets.map((name) => new Option(name)), new Option("as set", ""));
    find("window").querySelector("legend").textContent = this.hounsfield ? "Window (HU)" : "Window";
    return WINDOWS[presets[0]] ?? this.range;
  }

  choosePreset() {
    const name = find("preset").value;
    if (name) this.planes.setWindow(...(WINDOWS[name] ?? this.range));
  }

  /** Write down the window that is shown, however it came about. */
  readWindow() {
    const { cal_min: low, cal_max: high } = this.planes.base;
    const typing = document.activeElement?.type === "number";
    if (!typing) find("window-level").value = round((low + high) / 2);
    if (!typing) find("window-width").value = round(high - low);
    const same = ([name]) => {
      const [black, white] = WINDOWS[name] ?? this.range;
      return low === black && high === white;
    };
    const names = [...find("preset").options].map((option) => [option.value]).filter(([name]) => name);
    find("preset").value = names.find(same)?.[0] ?? "";
  }

  moveWindow(level, width) {
    if (Number.isFinite(level) && width > 0) this.planes.setWindow(level - width / 2, level + width / 2);
  }

  typeWindow() {
    this.moveWindow(find("window-level").valueAsNumber, find("window-width").valueAsNumber);
  }

  makeSliders() {
    for (const name of Object.keys(PLANES)) {
      const slider = Object.assign(document.createElement("input"), { type: "range", min: 0, step: 1, id: `slice-${name}` });
      const output = document.createElement("output");
      const label = Object.assign(document.createElement("label"), { htmlFor: slider.id, textContent: `${name}: ` });
      const box = document.createElement("div");
      label.append(output);
      box.append(label, slider);
      find("slices").append(box);
      slider.addEventListener("input", () => this.planes.setSlice(name, Number(slider.value)));
      this.sliders.set(name, { slider, output, box });
    }
  }

  listen() {
    const on = (id, event, act) => find(id).addEventListener(event, () => this.case && act());
    for (const id of ["level", "contour", "raters-contour"]) on(id, "input", () => this.setContours());
    on("map", "change", () => this.planes.colourBy(find("map").value));
    on("opacity", "input", () => this.setOpacity());
    on("smooth", "input", () => this.planes.setSmooth(find("smooth").checked));
    on("zoom", "input", () => this.planes.setZoom(Number(find("zoom").value)));
    on("layout", "change", () => this.planes.arrange(find("layout").value));
    on("to-structure", "click", () => this.toStructure(true));
    on("fit", "click", () => this.planes.setZoom(1));
    on("preset", "change", () => this.choosePreset());
    on("window-level", "change", () => this.typeWindow());
    on("window-width", "change", () => this.typeWindow());
    find("view").addEventListener("keydown", (event) => this.press(event));
  }

  press(event) {
    if (!this.case || event.ctrlKey || event.metaKey || event.altKey) return;
    const move = (name, by) => this.planes.setSlice(name, this.planes.slice(name) + by);
    const turn = (id, by) => {
      find(id).value = Number(find(id).value) + by;
      find(id).dispatchEvent(new Event("input"));
    };
    const { cal_min: low, cal_max: high } = this.planes.base;
    const [level, width] = [(low + high) / 2, high - low];
    const keys = {
      ArrowUp: () => move("axial", 1),
      ArrowDown: () => move("axial", -1),
      ArrowLeft: () => move("sagittal", -1),
      ArrowRight: () => move("sagittal", 1),
      PageUp: () => move("coronal", -1),
      PageDown: () => move("coronal", 1),
      "[": () => turn("level", -1),
      "]": () => turn("level", 1),
      "-": () => turn("zoom", -0.5),
      "+": () => turn("zoom", 0.5),
      "=": () => turn("zoom", 0.5),
      ",": () => this.moveWindow(level - width / 20, width),
      ".": () => this.moveWindow(level + width / 20, width),
      ";": () => this.moveWindow(level, width / 1.1),
      "'": () => this.moveWindow(level, width * 1.1),
      o: () => turn("opacity", Number(find("opacity").value) > 0 ? -100 : 50),
    };
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  }
}

/* Pitfall: the range NiiVue knows is that of the middle of the volume. */
function rangeOf({ img, hdr }) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of img) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (!(low < high)) high = low + 1;
  return [low, high].map((value) => value * (hdr.scl_slope || 1) + hdr.scl_inter);
}

function pair([word, value]) {
  const [term, text] = [document.createElement("dt"), document.createElement("dd")];
  term.textContent = word;
  text.textContent = value;
  return [term, text];
}

function fill(list, texts) {
  list.replaceChildren(...texts.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
}

function round(value) {
  return Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(3));
}
