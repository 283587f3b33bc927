import assert from 'node:assert/strict';
import { Guest } from './guest.js';
import { scene } from './scene.js';
import { until } from './until.js';

scene('in a tab that nobody looks at, an offer that got lost is said again', async (house) => {
  const node = await house.node('a');
  const alice = await Guest.enters(house, 'Alice', node, 'hidden');
  const bob = await Guest.enters(house, 'Bob', node, 'hidden');
  for (const person of [alice, bob]) await person.looksAway();
  await alice.loses('offer');
  await alice.shows('video');
  assert.equal(await bob.sees(alice, 'stream'), 'video');
  assert.equal(await alice.lost('offer'), 1);
});

scene('another camera, or none, needs no word with the others', async (house) => {
  const node = await house.node('a');
  const alice = await Guest.enters(house, 'Alice', node, 'cameras');
  const bob = await Guest.enters(house, 'Bob', node, 'cameras');
  await alice.shows('video');
  assert.equal(await bob.sees(alice, 'stream'), 'video');

  const said = await alice.descriptions();
  await alice.hides('video');
  await bob.seesNothing(alice, 'stream');
  await alice.shows('video');
  assert.equal(await bob.sees(alice, 'stream'), 'video');
  await alice.shows('video', { like: 'screen' });
  assert.equal(await bob.sees(alice, 'stream', { like: 'screen' }), 'screen', 'what the new device shows, in the place of the old one');
  assert.equal(await alice.descriptions(), said);
});

scene('text, names and messages of an app’s own', async (house) => {
  const node = await house.node('a');
  const alice = await Guest.enters(house, 'Alice', node, 'words');
  const bob = await Guest.enters(house, 'Bob', node, 'words');
  for (const person of [alice, bob]) await person.seesNames('Alice', 'Bob');

  await bob.does((call) => call.rename('Robert'));
  for (const person of [alice, bob]) await person.seesNames('Alice', 'Robert');
  await bob.does((call) => call.say('I am Robert now.'));
  await alice.hears('text', { from: 'Robert', text: 'I am Robert now.', own: false, pending: false });
  await bob.hears('text', { from: 'Robert', text: 'I am Robert now.', own: true, pending: false });

  assert.ok(await alice.does((call, id) => call.send(id, 'move', { from: 'e2', to: 'e4' }), bob.id));
  await bob.hears('message', { sender: alice.id, receiver: bob.id, type: 'move', data: { from: 'e2', to: 'e4' } });
  await alice.does((call) => call.send('nobody', 'move', null));
  await alice.hears('warning', { text: 'Not delivered: no client nobody in this room' });

  await bob.leaves();
  await alice.seesNames('Alice');
  await bob.comesBack();
  await alice.seesNames('Alice', 'Robert');
});

scene('a duplicated tab is somebody else', async (house) => {
  const node = await house.node('a');
  const ada = await Guest.enters(house, 'Ada', node, 'tabs');
  const second = await ada.duplicates(node, 'tabs');
  assert.notEqual(second.id, ada.id);
  await ada.seesNames('Ada', 'Ada’s second tab');
});

scene('a pass that would expire in a long call is renewed in time', async (house) => {
  const node = await house.node('a');
  const ada = await Guest.enters(house, 'Ada', node, 'long');
  await ada.leaves();
  const hoursArePast = () => {
    const setInterval = window.setInterval;
    window.setInterval = (act, ms) => setInterval(act, ms < 3600_000 ? ms : 300);
    window.passes = new Set();
    window.call.addEventListener('pass', ({ detail }) => window.passes.add(detail.token));
  };
  await ada.page.evaluate(hoursArePast);
  await ada.comesBack();
  await until('three passes were given', () => ada.page.evaluate(() => window.passes.size >= 3));
  const [id, kept] = await ada.does((call) => [call.pass.id, Object.values({ ...sessionStorage }).map((json) => JSON.parse(json).id)]);
  assert.deepEqual([id, kept], [await ada.does((call) => call.id), [id]], 'for the same id, and kept for a reload');
});
