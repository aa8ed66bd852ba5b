/* The three planes: NiiVue draws the volumes; contours and captions lie over them, in its coordinates. */
/* global niivue */
import { Greys } from "./greys.js";
import { Overlay, PLANES } from "./overlay.js";

const COLOURS = "cividis"; // read alike with and without colour vision

/** The planes of one case at a time. */
export class Planes {
  /**
   * @param {HTMLCanvasElement} canvas Where NiiVue draws.
   * @param {HTMLCanvasElement} lines Where contours and captions are drawn, above it.
   * @param {() => void} onMove Called when the crosshair has moved.
   */
  constructor(canvas, lines, onMove) {
    this.canvas = canvas;
    this.overlay = new Overlay(this, lines);
    this.onMove = onMove;
    this.maps = new Map();
    this.contours = [];
    this.layout = "all";
    this.known = true;
    this.pending = false;
    this.coloured = undefined;
    this.opacity = 1;
  }

  /** Make NiiVue ready. Throws where the browser has no WebGL 2. */
  async start() {
    const { Niivue, DRAG_MODE } = niivue;
    this.nv = new Niivue({
      logLevel: "error",
      loadingText: "",
      backColor: [0, 0, 0, 1],
      crosshairWidth: 0, // drawn over the picture: NiiVue's is as wide as a voxel and hides what it points at
      fontColor: [1, 1, 1, 1],
      fontMinPx: 15,
      fontSizeScaling: 0.3,
      isRadiologicalConvention: true,
      sagittalNoseLeft: true,
      showAllOrientationMarkers: true,
      isForceMouseClickToVoxelCenters: true,
      isNearestInterpolation: true,
      multiplanarShowRender: 0,
      dragAndDropEnabled: false,
      viewModeHotKey: "",
      clipPlaneHotKey: "",
      cycleClipPlaneHotKey: "",
      mouseEventConfig: {
        leftButton: { primary: DRAG_MODE.crosshair, withShift: DRAG_MODE.pan, withCtrl: DRAG_MODE.pan },
        rightButton: DRAG_MODE.windowing,
        centerButton: DRAG_MODE.pan,
      },
    });
    // The keys are this page's own; NiiVue's would move through the volume as well.
    this.nv.keyDownListener = () => {};
    this.nv.keyUpListener = () => {};
    await this.nv.attachToCanvas(this.canvas, false);
    this.greys = new Greys(this.nv);
    /** The colours of the maps from 0 to 1: 256 steps of red, green, blue and alpha, which NiiVue has for rendering. */
    this.colours = this.nv.colormap(COLOURS).map((value, at) => (at % 4 === 3 ? 255 : value));
    this.palette = new Uint32Array(this.colours.buffer);
    const draw = this.nv.drawScene.bind(this.nv);
    this.nv.drawScene = () => {
      this.greys.prepare();
      draw();
      this.drawSoon();
    };
    new ResizeObserver(() => this.arrange(this.layout)).observe(this.canvas.parentElement);
  }

  /** Forget the case. */
  clear() {
    this.maps.clear();
    this.contours = [];
    this.coloured = undefined;
    this.base = undefined;
    this.greys.clear();
    this.drawSoon();
  }

  /**
   * Show the CT, or what stands for it, instead of what was shown before.
   * @param {NVImage} base As from `imageOf`.
   * @param {boolean} known Whether it is known how the patient lies.
   * @param {number[]} window The values that are black and white at first.
   */
  setBase(base, known, [low, high]) {
    this.clear();
    this.known = known;
    this.nv.opts.isOrientationTextVisible = known;
    Object.assign(base, { cal_min: low, cal_max: high });
    this.lattice = latticeOf(base);
    this.greys.show(base, this.lattice);
    this.base = base;
    this.nv.scene.pan2Dxyzmm = [0, 0, 0, 1];
    this.arrange(this.layout);
  }

  /**
   * Keep a map for contours and colours.
   * @param {string} name What it is asked for by.
   * @param {NVImage} image As from `imageOf`, cut to where it is not 0.
   */
  addMap(name, image) {
    const dims = image.hdr.dims.slice(1, 4);
    const corner = fractionOf(this.base, millimetres(image, [0, 0, 0]));
    const offset = this.lattice.along.map((axis, k) =>
      Math.round((corner[axis] - this.lattice.origin[axis]) / this.lattice.step[k]),
    );
    this.maps.set(name, { dims, offset, values: image.img });
  }

  /** Colour by a map, or by none where the name is none of a map's. */
  colourBy(name) {
    this.coloured = this.maps.get(name);
    this.drawSoon();
  }

  /** Set how strongly colours cover the CT, 0 to 1. */
  setOpacity(opacity) {
    this.opacity = opacity;
    this.drawSoon();
  }

  /** Show the CT's voxels as they are, or smoothed to the eye. */
  setSmooth(smooth) {
    this.greys.smoothed = smooth;
    this.nv.drawScene();
  }

  /** Draw contours: [{map, threshold, style}], style a name of `STYLES`. */
  setContours(contours) {
    this.contours = contours;
    this.drawSoon();
  }

  /** Show values of the CT from `low` (black) to `high` (white). */
  setWindow(low, high) {
    if (!this.base || (this.base.cal_min === low && this.base.cal_max === high)) return;
    Object.assign(this.base, { cal_min: low, cal_max: high });
    this.nv.drawScene();
  }

  /** Lay out the planes: "all" or the name of one. */
  arrange(layout) {
    this.layout = layout;
    const { width, height } = this.canvas.getBoundingClientRect();
    if (!width || !height) return;
    if (layout !== "all") {
      this.nv.customLayout = null;
      this.nv.setSliceType(PLANES[layout].type);
      return;
    }
    const places =
      width > height
        ? { axial: [0, 0, 0.58, 1], coronal: [0.58, 0, 0.42, 0.5], sagittal: [0.58, 0.5, 0.42, 0.5] }
        : { axial: [0, 0, 1, 0.58], coronal: [0, 0.58, 0.5, 0.42], sagittal: [0.5, 0.58, 0.5, 0.42] };
    this.nv.setCustomLayout(
      Object.entries(places).map(([name, position]) => ({ sliceType: PLANES[name].type, position })),
    );
  }

  /** Zoom in on the crosshair, 1 being the whole. */
  setZoom(zoom) {
    const at = this.nv.frac2mm(this.nv.scene.crosshairPos);
    const centre = this.nv.frac2mm([0.5, 0.5, 0.5]);
    // NiiVue shows from (first - pan) / zoom to (last - pan) / zoom.
    const pan = [0, 1, 2].map((k) => (zoom === 1 ? 0 : centre[k] - zoom * at[k]));
    this.nv.setPan2Dxyzmm([...pan, zoom]);
  }

  get zoom() {
    return this.nv.scene.pan2Dxyzmm[3];
  }

  /** The number of slices of a plane. */
  count(name) {
    return this.base.dimsRAS[PLANES[name].across + 1];
  }

  /** Which slice is shown, from 0, counted as DICOM's axes run: to the left, the back and the head. */
  slice(name) {
    const { across } = PLANES[name];
    const n = this.count(name);
    const index = Math.min(n - 1, Math.max(0, Math.floor(this.nv.scene.crosshairPos[across] * n)));
    return across === 2 ? index : n - 1 - index;
  }

  /** Show a slice. */
  setSlice(name, slice) {
    const { across } = PLANES[name];
    const n = this.count(name);
    const index = Math.min(n - 1, Math.max(0, across === 2 ? slice : n - 1 - slice));
    this.nv.scene.crosshairPos[across] = (index + 0.5) / n;
    this.nv.drawScene();
  }

  /** Where the crosshair is: DICOM's x, y, z in mm. */
  position() {
    const [x, y, z] = this.nv.frac2mm(this.nv.scene.crosshairPos, 0, true);
    return [-x, -y, z];
  }

  /** The voxel at the crosshair, along the axes of the file. */
  voxel() {
    const { along, origin, step } = this.lattice;
    return along.map((axis, k) => Math.round((this.nv.scene.crosshairPos[axis] - origin[axis]) / step[k]));
  }

  /** The value of the CT at the crosshair. */
  baseValue() {
    const [i, j, k] = this.voxel();
    const [nx, ny] = this.base.hdr.dims.slice(1, 3);
    const { scl_slope: slope, scl_inter: inter } = this.base.hdr;
    return this.base.img[i + nx * (j + ny * k)] * (slope || 1) + inter;
  }

  /** The value of a map at the crosshair; 0 outside what was cut. */
  mapValue(name) {
    const { values, dims, offset } = this.maps.get(name);
    const at = this.voxel().map((index, k) => index - offset[k]);
    return at.every((index, k) => index >= 0 && index < dims[k]) ? values[at[0] + dims[0] * (at[1] + dims[1] * at[2])] : 0;
  }

  /** Move the crosshair to where a map has most in each plane; false where it has nothing. */
  goTo(name) {
    const { values, dims, offset } = this.maps.get(name);
    const sums = dims.map((n) => new Float64Array(n));
    for (let k = 0, at = 0; k < dims[2]; k++)
      for (let j = 0; j < dims[1]; j++)
        for (let i = 0; i < dims[0]; i++, at++) {
          sums[0][i] += values[at];
          sums[1][j] += values[at];
          sums[2][k] += values[at];
        }
    const most = sums.map((sum) => sum.indexOf(Math.max(...sum)));
    const { along, origin, step } = this.lattice;
    along.forEach((axis, k) => {
      this.nv.scene.crosshairPos[axis] = origin[axis] + step[k] * (offset[k] + most[k]);
    });
    this.nv.drawScene();
    return sums[0].some((sum) => sum > 0);
  }

  /** Draw lines and captions before the next picture, once however often it is asked for. */
  drawSoon() {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => {
      this.pending = false;
      this.overlay.draw();
      if (this.base) this.onMove();
    });
  }

  /** Say which slice is shown and where it lies, in lines. */
  caption(name) {
    const { letter, across } = PLANES[name];
    const slice = `${this.slice(name) + 1} of ${this.count(name)}`;
    if (!this.known) return [`image ${slice}`];
    return [name, slice, `${letter} ${this.position()[across].toFixed(1).replace("-", "−")} mm`];
  }
}

/**
 * Take a volume apart.
 * @param {ArrayBuffer} buffer NIfTI.
 * @returns {Promise<NVImage>} Its header and voxels.
 */
export function imageOf(buffer) {
  return niivue.NVImage.new(buffer, "volume.nii", "gray");
}

/** Where a voxel lies, in mm as NIfTI has them. */
function millimetres(image, voxel) {
  return image.hdr.affine.slice(0, 3).map((row) => row[0] * voxel[0] + row[1] * voxel[1] + row[2] * voxel[2] + row[3]);
}

function fractionOf(base, mm) {
  return base.convertMM2Frac(mm, true);
}

/* How the axes of the file lie in NiiVue's space, in which each axis of the volume runs from 0 to 1: for each axis of the
   file the axis it runs along and how far one voxel is, and where the first voxel's centre is. */
function latticeOf(base) {
  const origin = fractionOf(base, millimetres(base, [0, 0, 0]));
  const along = [];
  const step = [];
  for (let k = 0; k < 3; k++) {
    const next = fractionOf(base, millimetres(base, [0, 1, 2].map((axis) => Number(axis === k))));
    const moved = [0, 1, 2].map((axis) => next[axis] - origin[axis]);
    const axis = moved.reduce((best, value, at) => (Math.abs(value) > Math.abs(moved[best]) ? at : best), 0);
    along.push(axis);
    step.push(moved[axis]);
  }
  return { origin: [...origin], along, step };
}
