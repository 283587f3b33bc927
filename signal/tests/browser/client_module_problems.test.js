import assert from 'node:assert/strict';
import { Guest } from './guest.js';
import { freePort } from './part.js';
import { scene } from './scene.js';

const post = (node, path, body) =>
  fetch(new URL(path, node.url), { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });

scene('a room with a password lets in who has it', async (house) => {
  const node = await house.node('a');
  await post(node, '/api/rooms', { name: 'secret', password: 'sesame' });

  const without = await Guest.triesToEnter(house, 'Without', node, 'secret');
  assert.deepEqual(await without.isTold(401), { final: true, ends: 'refused' });
  const wrong = await Guest.triesToEnter(house, 'Wrong', node, 'secret', { password: 'barley' });
  assert.deepEqual(await wrong.isTold(401), { final: true, ends: 'refused' });

  const ada = await Guest.enters(house, 'Ada', node, 'secret', { password: 'sesame' });
  await ada.seesNames('Ada');
  await ada.leaves();
  await ada.comesBack();
});

scene('a room that is full, and one that is not there', async (house) => {
  const node = await house.node('a', { env: { SIGNAL__ROOMS__CREATE_ON_ENTRY: 'false' } });
  await post(node, '/api/rooms', { name: 'narrow', guest_limit: 1 });
  await Guest.enters(house, 'First', node, 'narrow');

  const second = await Guest.triesToEnter(house, 'Second', node, 'narrow');
  assert.deepEqual(await second.isTold(418), { final: true, ends: 'refused' });
  const lost = await Guest.triesToEnter(house, 'Lost', node, 'nowhere');
  assert.deepEqual(await lost.isTold(404), { final: true, ends: 'refused' });
});

scene('a server that is not there yet is told, and waited for', async (house) => {
  const here = await house.node('here');
  const port = await freePort();
  const server = `http://127.0.0.1:${port}`;
  const early = await Guest.triesToEnter(house, 'Early', here, 'tea', { server });
  assert.deepEqual(await early.isTold(0), { final: false, ends: null });
  await house.node('late', { env: { SIGNAL__LISTEN: `127.0.0.1:${port}` } });
  await early.isConnected();

  const impatient = await Guest.triesToEnter(house, 'Impatient', here, 'tea', { server: `http://127.0.0.1:${await freePort()}` });
  await impatient.isTold(0);
  await impatient.leaves();
  assert.deepEqual(await impatient.isTold(0), { final: false, ends: 'left' });
});

scene('who misspells is told what would be right', async (house) => {
  const node = await house.node('a');
  const guest = await Guest.enters(house, 'Ada', node, 'tea');
  const says = (wrong) => guest.page.evaluate(wrong).then(assert.fail, ({ message }) => message);

  assert.match(await says(() => new window.call.constructor({ room: 'Tea at four' })), /room: "Tea at four" .* like "tea"/);
  assert.match(await says(() => new window.call.constructor({})), /room: undefined/);
  assert.match(await says(() => new window.call.constructor({ room: 'tea', server: 'example.org' })), /server: .* like "https:/);
  assert.match(await says(() => window.call.setTrack('sound', null)), /kind: "sound" .* audio, video, screen/);
});
