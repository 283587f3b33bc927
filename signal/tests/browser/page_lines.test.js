import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { onDifferentNodes } from './meeting.js';
import { scene } from './scene.js';
import { tunnel } from './tunnel.js';
import { until } from './until.js';

const lines = Array.from({ length: 100 }, (_, n) => `line ${n}`);

/** Each line is there once, in order: also a while after the last of them. */
async function showsThemAll(person, options) {
  await until(`${person} shows every line`, async () => (await person.heard()).length >= lines.length, options);
  await person.is('connected');
  assert.deepEqual(await person.heard(), lines);
}

scene('a hundred lines are shown once and in order to somebody whose node is killed', async (house) => {
  const redis = await house.redis();
  const nodes = [await house.node('a', { redis }), await house.node('b', { redis })];
  const [alice, bob] = await onDifferentNodes(house, await house.balancer(...nodes));
  const hers = nodes.find((node) => node.servedBy === alice.socketServedBy());
  for (const [n, line] of lines.entries()) {
    await bob.says(line);
    if (n === 30) await hers.part.dies();
  }
  await showsThemAll(alice, { within: 30_000 });
  await showsThemAll(bob);
  assert.equal(await bob.page.locator('#chat-log .pending').count(), 0);
});

scene('a hundred lines are shown once and in order to somebody whose network is gone for 20 seconds', async (house) => {
  const node = await house.node('a');
  const network = await tunnel(node.url);
  const browser = await house.browser();
  const [alice, bob] = [await house.caller('Alice', { browser }), await house.caller('Bob', { browser })];
  await alice.opens(new URL('/room/tunnel', network.url));
  await alice.joins();
  await bob.opens(new URL('/room/tunnel', node.url));
  await bob.joins();
  const gone = Date.now();
  for (const [n, line] of lines.entries()) {
    if (n === 20) network.isGone();
    await bob.says(line);
  }
  await alice.is('reconnecting', { within: 20_000 });
  await alice.screenshot('network-gone');
  await pause(gone + 20_000 - Date.now());
  network.isBack();
  await showsThemAll(alice, { within: 30_000 });
  await showsThemAll(bob);
});
