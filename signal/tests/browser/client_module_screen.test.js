import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { enterAsOriginal } from './original.js';
import { Guest } from './guest.js';
import { freePort } from './part.js';
import { scene } from './scene.js';
import { until } from './until.js';

scene('a screen beside the camera, for those who are there and those who come later', async (house) => {
  const node = await house.node('a');
  const alice = await Guest.enters(house, 'Alice', node, 'screens');
  const bob = await Guest.enters(house, 'Bob', node, 'screens');
  await alice.shows('video');
  assert.equal(await bob.sees(alice, 'stream'), 'video');

  await alice.shows('screen');
  assert.equal(await bob.sees(alice, 'screen'), 'screen');
  assert.equal(await bob.sees(alice, 'stream'), 'video', 'the camera goes on');

  const carol = await Guest.enters(house, 'Carol', node, 'screens');
  assert.equal(await carol.sees(alice, 'screen'), 'screen');
  assert.equal(await carol.sees(alice, 'stream'), 'video');

  const places = await bob.places(alice);
  for (let times = 0; times < 2; times += 1) {
    await alice.hides('screen');
    await bob.seesNoScreen(alice);
    await carol.seesNoScreen(alice);
    assert.equal(await bob.sees(alice, 'stream'), 'video');
    await alice.shows('screen');
    assert.equal(await bob.sees(alice, 'screen'), 'screen');
  }
  assert.equal(await bob.places(alice), places, 'the screen comes back in the place where it was');
});

scene('both share their screens at the same moment, and then a camera comes', async (house) => {
  const node = await house.node('a');
  const alice = await Guest.enters(house, 'Alice', node, 'both');
  const bob = await Guest.enters(house, 'Bob', node, 'both');
  await Promise.all([alice.shows('screen'), bob.shows('screen')]);
  assert.equal(await bob.sees(alice, 'screen'), 'screen');
  assert.equal(await alice.sees(bob, 'screen'), 'screen');

  // The one's camera is as new to the connection as the other's end of the screen.
  await Promise.all([alice.hides('screen'), bob.shows('video')]);
  await bob.seesNoScreen(alice);
  assert.equal(await alice.sees(bob, 'stream'), 'video');
  assert.equal(await alice.sees(bob, 'screen'), 'screen', 'the other screen is still there');
});

scene('whose offer gives way to the other’s goes on seeing what was there before', async (house) => {
  const node = await house.node('a');
  const guests = [await Guest.enters(house, 'Alice', node, 'ways'), await Guest.enters(house, 'Bob', node, 'ways')];
  const [polite, other] = guests.toSorted((one, another) => (one.id < another.id ? -1 : 1));
  await other.shows('video');
  assert.equal(await polite.sees(other, 'stream'), 'video');

  await polite.loses('offer');
  await polite.shows('video');
  await until('the first offer is under way', async () => (await polite.lost('offer')) === 1);
  await other.shows('screen');
  assert.equal(await polite.sees(other, 'screen'), 'screen');
  assert.equal(await polite.sees(other, 'stream'), 'video');
  assert.equal(await other.sees(polite, 'stream'), 'video');

  await polite.loses('offer');
  await polite.shows('screen');
  await until('the second offer is under way', async () => (await polite.lost('offer')) === 2);
  await other.hides('screen');
  await polite.seesNoScreen(other);
  assert.equal(await polite.sees(other, 'stream'), 'video');
  assert.equal(await other.sees(polite, 'screen'), 'screen');
  assert.equal(await other.sees(polite, 'stream'), 'video');
});

scene('a screen that is shared while the node is away comes with it', async (house) => {
  const env = {
    SIGNAL__LISTEN: `127.0.0.1:${await freePort()}`,
    SIGNAL__SESSION__SECRET: randomBytes(32).toString('base64'),
  };
  const node = await house.node('a', { env });
  const alice = await Guest.enters(house, 'Alice', node, 'away');
  const bob = await Guest.enters(house, 'Bob', node, 'away');
  await alice.shows('video');
  assert.equal(await bob.sees(alice, 'stream'), 'video');

  await node.part.dies();
  await alice.shows('screen');
  assert.equal(await bob.sees(alice, 'stream'), 'video', 'the call goes on');
  await house.node('a', { env });
  assert.equal(await bob.sees(alice, 'screen'), 'screen');
});

scene('somebody with the original web client is not confused by a screen', async (house) => {
  const node = await house.node('a');
  const alice = await Guest.enters(house, 'Alice', node, 'mixed');
  await alice.shows('video');
  const original = await house.caller('Original');
  await original.opens(node.url);
  const id = await original.page.evaluate(enterAsOriginal, { room: 'mixed', other: alice.id });
  const tracks = () => original.page.evaluate(() => window.received());
  await until('the original client has the camera', async () => (await tracks()).length === 1);
  assert.equal(await alice.sees({ name: 'Original', id }, 'stream'), 'video');

  await alice.shows('screen');
  await until('the original client has the screen', async () => (await tracks()).length === 2);
  const streams = (await tracks()).map(({ stream }) => stream);
  assert.notEqual(streams[0], streams[1], 'it can tell the screen from the camera');
  await alice.hides('screen');
  await until('the original client has the camera only', async () => (await tracks()).length === 1);
  assert.equal(await alice.sees({ name: 'Original', id }, 'stream'), 'video');
});
