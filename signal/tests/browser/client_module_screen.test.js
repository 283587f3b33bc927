import assert from 'node:assert/strict';
import { Guest } from './guest.js';
import { scene } from './scene.js';

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
