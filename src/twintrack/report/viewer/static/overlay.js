/* What lies over NiiVue's pictures, on a canvas of its own: a map's colours, contours, the crosshair and captions. */
/* global outlineOf, drawLines */

/** For each plane NiiVue's number of it, the axis across it and the axes along its width and height in NiiVue's space, which run
    to the right, the front and the head, and the name of the axis across. */
export const PLANES = {
  axial: { type: 0, across: 2, along: [0, 1], letter: "z" },
  coronal: { type: 1, across: 1, along: [0, 2], letter: "y" },
  sagittal: { type: 2, across: 0, along: [1, 2], letter: "x" },
};

/** Values below are not coloured: a calibrated map is hardly ever exactly 0 inside the ROI. */
export const LOWEST = 0.05;

const STYLES = { predicted: { colour: "#ffffff", dash: [] }, raters: { colour: "#ff9d2e", dash: [6, 3] } };

/** Draws over the planes, in NiiVue's coordinates. */
export class Overlay {
  /**
   * @param {Planes} planes What is drawn over.
   * @param {HTMLCanvasElement} lines Where to draw.
   */
  constructor(planes, lines) {
    this.planes = planes;
    this.lines = lines;
  }

  /** Draw colours, contours, crosshair and captions over what NiiVue has drawn. */
  draw() {
    const scale = window.devicePixelRatio || 1;
    const { nv, canvas, base, contours } = this.planes;
    Object.assign(this.lines, { width: canvas.width, height: canvas.height });
    const context = this.lines.getContext("2d");
    if (!base) return;
    for (const tile of nv.screenSlices) {
      const [name, plane] = Object.entries(PLANES).find(([, { type }]) => type === tile.axCorSag) ?? [];
      if (!plane) continue;
      const [left, top, width, height] = tile.leftTopWidthHeight;
      context.save();
      context.beginPath();
      context.rect(left, top, width, height);
      context.clip();
      this.drawColours(context, tile, plane);
      for (const contour of contours) this.drawContour(context, tile, plane, contour, scale);
      this.drawCrosshair(context, tile, plane, scale);
      context.restore();
      this.drawCaption(context, name, [left, top], scale);
    }
  }

  drawColours(context, tile, plane) {
    const cut = this.planes.coloured && this.cut(this.planes.coloured, tile, plane);
    if (!cut) return;
    const [nu, nv] = cut.size;
    const pixels = new Uint32Array(nu * nv); // 0 is transparent
    for (let v = 0, at = 0; v < nv; v++)
      for (let u = 0; u < nu; u++, at++) {
        const value = cut.values[cut.first + u * cut.step[0] + v * cut.step[1]];
        if (value >= LOWEST) pixels[at] = this.planes.palette[Math.min(255, Math.floor(value * 256))];
      }
    const picture = new OffscreenCanvas(nu, nv);
    picture.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(pixels.buffer), nu, nv), 0, 0);
    context.save();
    context.setTransform(cut.place);
    context.imageSmoothingEnabled = false;
    context.globalAlpha = this.planes.opacity;
    context.drawImage(picture, 0, 0);
    context.restore();
  }

  drawContour(context, tile, plane, { map, threshold, style }, scale) {
    const cut = this.cut(this.planes.maps.get(map), tile, plane);
    const path = cut && outlineOf(cut.values, cut, threshold);
    if (path) drawLines(context, path, cut.place, { ...STYLES[style], scale });
  }

  /* The voxels of a map in the plane of a tile: how to step through them and where they are in the canvas; undefined where the
     map has none in it. */
  cut({ values, dims, offset }, tile, plane) {
    const across = this.planes.lattice.along.indexOf(plane.across);
    const index = this.planes.voxel()[across] - offset[across];
    if (index < 0 || index >= dims[across]) return undefined;
    const step = [1, dims[0], dims[0] * dims[1]];
    const [u, v] = [0, 1, 2].filter((k) => k !== across);
    const pixel = (du, dv) => {
      const voxel = [...offset];
      voxel[u] += du - 0.5;
      voxel[v] += dv - 0.5;
      return this.pixelOf(tile, plane, voxel);
    };
    const [o, a, b] = [pixel(0, 0), pixel(1, 0), pixel(0, 1)];
    const place = { a: a[0] - o[0], b: a[1] - o[1], c: b[0] - o[0], d: b[1] - o[1], e: o[0], f: o[1] };
    return { values, first: index * step[across], size: [dims[u], dims[v]], step: [step[u], step[v]], place };
  }

  drawCrosshair(context, tile, plane, scale) {
    const [x, y] = this.pixelOf(tile, plane, this.planes.voxel()).map((at) => Math.round(at) + 0.5);
    const [left, top, width, height] = tile.leftTopWidthHeight;
    const gap = 14 * scale;
    context.beginPath();
    for (const [from, to] of [[left, x - gap], [x + gap, left + width]]) {
      context.moveTo(from, y);
      context.lineTo(to, y);
    }
    for (const [from, to] of [[top, y - gap], [y + gap, top + height]]) {
      context.moveTo(x, from);
      context.lineTo(x, to);
    }
    context.setLineDash([]);
    context.lineWidth = scale;
    context.strokeStyle = "rgba(110, 200, 245, 0.75)";
    context.stroke();
  }

  /** Where in the canvas a voxel (along the axes of the file) is, in a tile. */
  pixelOf(tile, plane, voxel) {
    const { along, origin, step } = this.planes.lattice;
    const fraction = [0, 0, 0];
    along.forEach((axis, k) => {
      fraction[axis] = origin[axis] + step[k] * voxel[k];
    });
    const mm = this.planes.nv.frac2mm(fraction);
    const [left, top, width, height] = tile.leftTopWidthHeight;
    const across = (mm[plane.along[0]] - tile.leftTopMM[0]) / tile.fovMM[0];
    const up = (mm[plane.along[1]] - tile.leftTopMM[1]) / tile.fovMM[1];
    return [left + across * width, top + (1 - up) * height];
  }

  drawCaption(context, name, [left, top], scale) {
    context.font = `${13 * scale}px system-ui, sans-serif`;
    context.textBaseline = "top";
    context.lineWidth = 3 * scale;
    context.strokeStyle = "#000";
    context.fillStyle = "#fff";
    // One below the other: beside each other they would cover the letters of the sides in a narrow plane.
    for (const [k, line] of this.planes.caption(name).entries()) {
      const at = [left + 8 * scale, top + (6 + 16 * k) * scale];
      context.strokeText(line, ...at);
      context.fillText(line, ...at);
    }
  }
}
