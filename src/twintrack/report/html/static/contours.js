// Outlines by marching squares (Lorensen and Cline 1987, in the plane): where a map passes a level, between the centres
// of its pixels. What lies beyond the edge counts as below the level, so that every outline is closed.
function outline(values, rows, columns, level) {
  const at = (y, x) => (y < 0 || x < 0 || y >= rows || x >= columns ? 0 : values[y * columns + x]);
  const between = (a, b) => (level - a) / (b - a);
  const path = [];
  for (let y = -1; y < rows; y++) {
    for (let x = -1; x < columns; x++) {
      const a = at(y, x), b = at(y, x + 1), c = at(y + 1, x + 1), d = at(y + 1, x);
      const inside = (a >= level) | ((b >= level) << 1) | ((c >= level) << 2) | ((d >= level) << 3);
      if (inside === 0 || inside === 15) continue;
      const top = () => [x + between(a, b), y], right = () => [x + 1, y + between(b, c)];
      const bottom = () => [x + between(d, c), y + 1], left = () => [x, y + between(a, d)];
      const middle = (a + b + c + d) / 4 >= level;
      for (const [from, to] of cuts(inside, middle, { top, right, bottom, left })) path.push(point("M", from()), point("L", to()));
    }
  }
  return path.join("");
}

function cuts(inside, middle, { top, right, bottom, left }) {
  switch (inside) {
    case 1: case 14: return [[left, top]];
    case 2: case 13: return [[top, right]];
    case 4: case 11: return [[right, bottom]];
    case 8: case 7: return [[bottom, left]];
    case 3: case 12: return [[left, right]];
    case 6: case 9: return [[top, bottom]];
    // Two corners across from each other: the middle says whether they hang together.
    case 5: return middle ? [[left, bottom], [top, right]] : [[left, top], [right, bottom]];
    default: return middle ? [[left, top], [right, bottom]] : [[top, right], [bottom, left]];
  }
}

function point(command, [x, y]) {
  return `${command}${(x + 0.5).toFixed(2)} ${(y + 0.5).toFixed(2)}`;
}
