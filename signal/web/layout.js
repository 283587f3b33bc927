// How many columns make the tiles of a call largest.

/** Columns for `count` tiles in a box. The shorter side of a tile decides how large a face in it can be. */
export function columns(count, width, height, gap = 12) {
  let best = { columns: 1, side: 0 };
  for (let n = 1; n <= count; n++) {
    const rows = Math.ceil(count / n);
    const side = Math.min((width - gap * (n - 1)) / n, (height - gap * (rows - 1)) / rows);
    if (side > best.side) best = { columns: n, side };
  }
  return best.columns;
}
