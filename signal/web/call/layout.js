// Where the tiles of a call lie: as large as they can be, without overlap, within the stage.
//
// A box or a tile is {x, y, width, height}, in pixels; a shape is width over height.

/** The widest tile: a film's; what is wider is empty beside the picture, or cut off above and below it. */
const WIDEST = 16 / 9;
const NARROWEST = { alone: 9 / 16, grid: 3 / 4, strip: 4 / 3 };
// Of two ways to divide a box the better one shows the larger picture of this shape.
const PICTURE = 4 / 3;
const CORNER = { part: 0.22, least: 96, most: 260, inset: 14 };
const STRIP = { part: 0.22, atMost: 0.75, least: 76, most: 280 };

const bounded = (least, value, most) => Math.max(least, Math.min(value, most));

/**
 * The tiles of `count` people in a stage of `width` and `height`: in a grid; or, as indices tell, with the one that is
 * `large` (of the given `shape`, or of any when null) beside a strip of the others; or the one other with `corner` in his.
 */
export function place(count, { width, height, gap = 12 }, { large = -1, shape = null, corner = -1 } = {}) {
  const stage = { x: 0, y: 0, width, height };
  if (large >= 0) return withLarge(count, stage, gap, large, shape);
  if (corner >= 0 && count === 2) return withCorner(stage, corner);
  return grid(count, stage, gap, count === 1 ? NARROWEST.alone : NARROWEST.grid);
}

function grid(count, box, gap, narrowest) {
  let best = { size: -1 };
  for (let across = 1; across <= count; across++) {
    const down = Math.ceil(count / across);
    const cell = { width: (box.width - gap * (across - 1)) / across, height: (box.height - gap * (down - 1)) / down };
    const { width, height } = fit(cell, narrowest, WIDEST);
    const size = Math.min(width, height * PICTURE);
    if (size > best.size) best = { size, across, down, width, height };
  }
  const { across, down, width, height } = best;
  return Array.from({ length: count }, (_, i) => {
    const row = Math.floor(i / across);
    const inRow = row < down - 1 ? across : count - across * (down - 1);
    return {
      x: box.x + centred(box.width, width, inRow, gap) + (i % across) * (width + gap),
      y: box.y + centred(box.height, height, down, gap) + row * (height + gap),
      width,
      height,
    };
  });
}

/** Where the first of `n` in a row begins, for the row to be in the middle. */
function centred(room, size, n, gap) {
  return (room - n * size - (n - 1) * gap) / 2;
}

/** The largest size in a cell whose shape is within bounds. */
function fit({ width, height }, narrowest, widest) {
  const broad = Math.max(0, Math.min(width, height * widest));
  return { width: broad, height: Math.max(0, Math.min(height, broad / narrowest)) };
}

function within(box, shape) {
  const size = shape ? fit(box, shape, shape) : fit(box, NARROWEST.grid, WIDEST);
  return { x: box.x + (box.width - size.width) / 2, y: box.y + (box.height - size.height) / 2, ...size };
}

function withLarge(count, stage, gap, large, shape) {
  if (count === 1) return [within(stage, shape)];
  const most = STRIP.atMost * Math.min(count - 1, 2);
  const divided = [beside(stage, gap, shape, most), below(stage, gap, shape, most)];
  const area = ({ main }) => main.width * main.height;
  const { main, strip } = divided.reduce((one, other) => (area(other) > area(one) ? other : one));
  const tiles = grid(count - 1, strip, gap, NARROWEST.strip);
  tiles.splice(large, 0, main);
  return tiles;
}

/** The strip has what the large one leaves of the stage, so far as it can use it; together they are in the middle. */
function beside({ width, height }, gap, shape, most) {
  const least = bounded(STRIP.least, width * STRIP.part, STRIP.most);
  const main = within({ x: 0, y: 0, width: width - least - gap, height }, shape);
  const thick = Math.min(width - main.width - gap, Math.max(least, main.width * most));
  const x = (width - main.width - gap - thick) / 2;
  return { main: { ...main, x }, strip: { x: x + main.width + gap, y: 0, width: thick, height } };
}

function below({ width, height }, gap, shape, most) {
  const least = bounded(STRIP.least, height * STRIP.part, STRIP.most);
  const main = within({ x: 0, y: 0, width, height: height - least - gap }, shape);
  const thick = Math.min(height - main.height - gap, Math.max(least, main.height * most));
  const y = (height - main.height - gap - thick) / 2;
  return { main: { ...main, y }, strip: { x: 0, y: y + main.height + gap, width, height: thick } };
}

function withCorner(stage, corner) {
  const size = fit(stage, NARROWEST.alone, WIDEST);
  const main = { x: (stage.width - size.width) / 2, y: (stage.height - size.height) / 2, ...size };
  const longer = bounded(CORNER.least, Math.max(main.width, main.height) * CORNER.part, CORNER.most);
  const upright = main.height > main.width;
  const small = { width: upright ? longer / PICTURE : longer, height: upright ? longer : longer / PICTURE };
  const own = {
    x: main.x + main.width - small.width - CORNER.inset,
    y: main.y + main.height - small.height - CORNER.inset,
    ...small,
  };
  return corner === 0 ? [own, main] : [main, own];
}
