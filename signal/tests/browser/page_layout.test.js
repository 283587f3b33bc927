// Where tiles lie: the function itself, without a browser.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import test from 'node:test';

const source = await readFile(new URL('../../web/call/layout.js', import.meta.url));
const { place } = await import(`data:text/javascript;base64,${source.toString('base64')}`);

const stages = {
  'a large window': { width: 1600, height: 900 },
  'a window with the chat beside': { width: 880, height: 620 },
  'a phone upright': { width: 374, height: 640, gap: 8 },
  'a phone on its side': { width: 720, height: 330, gap: 8 },
  'a small phone': { width: 304, height: 430, gap: 8 },
};
const shape = ({ width, height }) => width / height;
const area = ({ width, height }) => width * height;
const nearly = 0.01;

/** Tiles are within the stage, do not touch each other, and are of a shape that a picture can have. */
function lieWell(tiles, stage, { narrowest = 9 / 16 } = {}) {
  for (const [i, tile] of tiles.entries()) {
    const { x, y, width, height } = tile;
    const within = x >= -nearly && y >= -nearly && x + width <= stage.width + nearly && y + height <= stage.height + nearly;
    assert.ok(within, `tile ${i} is within the stage: ${JSON.stringify(tile)}`);
    assert.ok(width >= 40 && height >= 30, `tile ${i} can be seen: ${JSON.stringify(tile)}`);
    assert.ok(shape(tile) >= narrowest - nearly && shape(tile) <= 16 / 9 + nearly, `the shape of tile ${i}: ${shape(tile)}`);
    for (const other of tiles.slice(i + 1)) {
      const apart =
        x + width <= other.x + nearly || other.x + other.width <= x + nearly ||
        y + height <= other.y + nearly || other.y + other.height <= y + nearly;
      assert.ok(apart, `${JSON.stringify(tile)} and ${JSON.stringify(other)} do not lie on each other`);
    }
  }
}

for (const [name, stage] of Object.entries(stages)) {
  test(`one to twelve people on ${name}`, () => {
    for (let count = 1; count <= 12; count++) {
      const tiles = place(count, stage);
      assert.equal(tiles.length, count);
      lieWell(tiles, stage);
      const [{ width, height }] = tiles;
      for (const tile of tiles) assert.ok(Math.abs(area(tile) - width * height) < 1, 'all are of one size');
    }
  });

  test(`one large, and up to twelve others, on ${name}`, () => {
    for (let count = 1; count <= 13; count++) {
      for (const of of [null, 16 / 9, 4 / 3]) {
        const tiles = place(count, stage, { large: 0, shape: of });
        assert.equal(tiles.length, count);
        lieWell(tiles, stage);
        if (of) assert.ok(Math.abs(shape(tiles[0]) - of) < nearly, 'a screen keeps its shape');
        for (const tile of tiles.slice(1)) assert.ok(area(tile) < area(tiles[0]), 'the large one is the largest');
      }
    }
  });

  test(`two people on ${name}: the other one, and oneself in his corner`, () => {
    const [other, own] = place(2, stage, { corner: 1 });
    lieWell([other], stage);
    lieWell([own], stage);
    assert.ok(area(own) < area(other) / 4);
    assert.ok(own.x > other.x && own.y > other.y);
    assert.ok(own.x + own.width <= other.x + other.width && own.y + own.height <= other.y + other.height);
    assert.ok(area(other) > area(place(2, stage)[0]), 'which is larger than side by side');
  });
}

test('the large one keeps its place in the order', () => {
  const tiles = place(4, stages['a large window'], { large: 2, shape: null });
  assert.deepEqual(tiles.map(area).indexOf(Math.max(...tiles.map(area))), 2);
});

test('four in a window are two by two, three on a phone are one above the other', () => {
  const columns = (tiles) => new Set(tiles.map(({ x }) => Math.round(x))).size;
  assert.equal(columns(place(4, stages['a large window'])), 2);
  assert.equal(columns(place(3, stages['a phone upright'])), 1);
});
