"use strict";
/* Where a map reaches a threshold in one plane: the border between voxels, as lines. Used by the viewer and in notebooks. */

/**
 * Give the border of the voxels of one plane whose value is at least a threshold.
 *
 * It runs along the edges of voxels: nothing is interpolated, so it shows the very voxels that are counted.
 *
 * @param {ArrayLike<number>} values All voxels of the map.
 * @param {{first: number, size: number[], step: number[]}} plane Index of the plane's first voxel in `values`; for the
 *   plane's two axes the number of voxels and the distance in `values` from one to the next.
 * @param {number} threshold The threshold.
 * @returns {Path2D|null} Lines in units of voxels, with (0, 0) at the outer corner of the first one; null if there are none.
 */
function outlineOf(values, plane, threshold) {
  const [nu, nv] = plane.size;
  const [su, sv] = plane.step;
  const inside = (u, v) =>
    u >= 0 && v >= 0 && u < nu && v < nv && values[plane.first + u * su + v * sv] >= threshold;
  const path = new Path2D();
  let any = false;
  // One line for each run of edges: fewer lines, and dashes that do not begin anew at each voxel.
  const run = (n, m, differs, line) => {
    for (let row = 0; row <= m; row++) {
      for (let start = 0; start < n; start++) {
        if (!differs(start, row)) continue;
        let end = start + 1;
        while (end < n && differs(end, row)) end++;
        line(start, end, row);
        any = true;
        start = end;
      }
    }
  };
  run(nu, nv, (u, v) => inside(u, v - 1) !== inside(u, v), (a, b, v) => {
    path.moveTo(a, v);
    path.lineTo(b, v);
  });
  run(nv, nu, (v, u) => inside(u - 1, v) !== inside(u, v), (a, b, u) => {
    path.moveTo(u, a);
    path.lineTo(u, b);
  });
  return any ? path : null;
}

/**
 * Draw lines with a dark rim, which keeps them visible on every colour.
 *
 * @param {CanvasRenderingContext2D} context Where to draw; its transform is not used.
 * @param {Path2D} path The lines.
 * @param {DOMMatrixInit} place From the lines' units to pixels of the canvas.
 * @param {{colour: string, dash: number[], scale: number}} style Colour, dashes, and pixels of the canvas per CSS pixel.
 */
function drawLines(context, path, place, style) {
  const placed = new Path2D();
  placed.addPath(path, place);
  // The rim has the same dashes, so that a line below shows through the gaps where both take one way.
  context.setLineDash(style.dash.map((length) => length * style.scale));
  context.lineCap = style.dash.length ? "butt" : "square";
  context.strokeStyle = "rgba(0, 0, 0, 0.75)";
  context.lineWidth = 3.5 * style.scale;
  context.stroke(placed);
  context.strokeStyle = style.colour;
  context.lineWidth = 1.75 * style.scale;
  context.stroke(placed);
}
