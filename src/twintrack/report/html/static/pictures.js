// Pictures of cases: layers are decoded once, then one slice of each is coloured and outlined.
const { colours, pictures } = JSON.parse(document.getElementById("data").textContent);
const scale = Uint8Array.from(colours.match(/../g), (two) => parseInt(two, 16));
// Okabe and Ito's sky blue and orange about a dark middle, which lies quietly beside the other panels.
const below = [86, 180, 233], none = [24, 27, 31], above = [230, 159, 0];

async function bytes(uri, width) {
  const image = new Image();
  image.src = uri;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = image.height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const pixels = context.getImageData(0, 0, width, image.height).data;
  return Uint8Array.from({ length: pixels.length / 4 }, (_, k) => pixels[4 * k]);
}

function grey(value) {
  return [value, value, value];
}

function mapped(share) {
  const k = 3 * Math.round(255 * share);
  return [scale[k], scale[k + 1], scale[k + 2]];
}

function diverging(difference) {
  // The style sheet has the same steps for the bar.
  const end = difference < 0 ? below : above, share = Math.sqrt(Math.min(Math.abs(difference), 1)); // small differences are seen too
  return none.map((from, k) => from + (end[k] - from) * share);
}

class Viewer {
  constructor(element, picture, layers) {
    Object.assign(this, { element, picture, layers });
    [this.slices, this.rows, this.columns] = picture.shape;
    this.slider = (name) => element.querySelector(`input[name=${name}]`);
    this.difference = element.querySelector("select");
    element.addEventListener("input", () => this.draw());
    element.querySelectorAll(".stage").forEach((stage) => {
      stage.addEventListener("pointermove", (event) => this.point(stage, event));
      stage.addEventListener("pointerleave", () => this.leave());
    });
    this.draw();
  }

  slice(name) {
    const size = this.rows * this.columns, at = Number(this.slider("slice").value) * size;
    return this.layers[name]?.subarray(at, at + size);
  }

  // Shares, 0 … 1, of one slice.
  shares(name) {
    const unit = name === "votes" ? this.picture.raters : 255;
    return Float32Array.from(this.slice(name), (value) => value / unit);
  }

  draw() {
    const level = Number(this.slider("level").value), { raters } = this.picture;
    const maps = {};
    for (const name of ["votes", ...this.picture.maps]) maps[name] = this.shares(name);
    const [of, to] = this.difference.value.split(" ");
    const pixels = {
      ct: this.layers.ct && Array.from(this.slice("ct"), grey),
      difference: Array.from(maps[of], (value, k) => diverging(value - maps[to][k])),
    };
    for (const name of Object.keys(maps)) pixels[name] = Array.from(maps[name], mapped);
    const drawn = outline(Uint8Array.from(this.slice("votes"), (votes) => votes >= level), this.rows, this.columns, 0.5);
    const lines = {};
    for (const name of this.picture.maps) lines[name] = outline(maps[name], this.rows, this.columns, (level - 0.5) / raters);
    const best = lines[this.picture.maps.at(-1)];
    this.element.querySelectorAll("[data-panel]").forEach((panel) => {
      const name = panel.dataset.panel;
      this.paint(panel.querySelector("canvas"), pixels[name]);
      const own = lines[name] ?? (name === "votes" ? "" : best);
      panel.querySelectorAll(".drawn").forEach((path) => path.setAttribute("d", drawn));
      panel.querySelectorAll(".predicted").forEach((path) => path.setAttribute("d", own));
    });
    this.say(level);
  }

  paint(canvas, pixels) {
    const context = canvas.getContext("2d"), image = context.createImageData(this.columns, this.rows);
    pixels.forEach((colour, k) => image.data.set([...colour, 255], 4 * k));
    context.putImageData(image, 0, 0);
  }

  say(level) {
    const { firstSlice, step, nSlices, raters } = this.picture;
    const slice = firstSlice + step[0] * Number(this.slider("slice").value);
    const words = { slice: `${slice} of ${nSlices}`, level: level === raters ? `all ${raters} of ${raters}` : `at least ${level} of ${raters}` };
    for (const [name, text] of Object.entries(words)) {
      this.slider(name).setAttribute("aria-valuetext", text);
      this.element.querySelectorAll(`[data-said=${name}]`).forEach((one) => { one.textContent = text; });
    }
  }

  point(stage, event) {
    const box = stage.getBoundingClientRect();
    const x = Math.floor((this.columns * (event.clientX - box.left)) / box.width);
    const y = Math.floor((this.rows * (event.clientY - box.top)) / box.height);
    if (x < 0 || y < 0 || x >= this.columns || y >= this.rows) return;
    const k = y * this.columns + x, { raters } = this.picture;
    const said = [`${this.slice("votes")[k]} of ${raters} raters`];
    for (const name of this.picture.maps) said.push(`${name} ${(this.slice(name)[k] / 255).toFixed(2)}`);
    this.element.querySelector(".readout").textContent = said.join(" · ");
    this.element.querySelectorAll(".cross").forEach((cross) => cross.setAttribute("d", `M${x + 0.5} 0V${this.rows}M0 ${y + 0.5}H${this.columns}`));
  }

  leave() {
    this.element.querySelector(".readout").textContent = "";
    this.element.querySelectorAll(".cross").forEach((cross) => cross.removeAttribute("d"));
  }
}

document.querySelectorAll("[data-picture]").forEach(async (element) => {
  const picture = pictures[Number(element.dataset.picture)];
  const names = Object.keys(picture.layers);
  const decoded = await Promise.all(names.map((name) => bytes(picture.layers[name], picture.shape[2])));
  new Viewer(element, picture, Object.fromEntries(names.map((name, k) => [name, decoded[k]])));
  element.classList.add("ready");
});
