import assert from 'node:assert/strict';
import { onDifferentNodes } from './meeting.js';
import { scene } from './scene.js';

const hours = 3600;

scene('a call that may only be relayed, with the credentials that the node gave', async (house) => {
  const turn = await house.turn();
  const redis = await house.redis();
  const nodes = [await house.node('a', { redis, turn }), await house.node('b', { redis, turn })];
  const balancer = await house.balancer(...nodes);
  const [alice, bob] = await onDifferentNodes(house, balancer, '?relay');

  await alice.sees(bob);
  await bob.sees(alice);
  await alice.reaches(bob, 'relayed');
  await bob.reaches(alice, 'relayed');
  assert.deepEqual(await alice.pairs(), ['relay→relay']);
  assert.deepEqual(await bob.pairs(), ['relay→relay']);
  await alice.tells(bob, 'Is this really relayed?');
  await bob.tells(alice, 'Every frame.');
  await alice.screenshot('relayed-alice');

  for (const person of [alice, bob]) {
    const given = (await person.iceServers()).find(({ username }) => username);
    assert.deepEqual([given.urls].flat(), [turn.url]);
    assert.ok(given.username.endsWith(`:${await person.id()}`), `${given.username} names the client`);
    assert.ok(await turn.serves(given), 'the node’s credentials are good');
  }
});

scene('coturn refuses credentials that are expired or tampered with', async (house) => {
  const turn = await house.turn();
  const node = await house.node('a', { turn });
  const alice = await house.caller('Alice');
  const bob = await house.caller('Bob');
  for (const person of [alice, bob]) {
    await person.opens(new URL('/room/refused?relay', node.url));
    await person.joins();
  }
  await alice.sees(bob);
  const { username, credential } = (await alice.iceServers()).find(({ username }) => username);
  const [expiry, name] = username.split(':');
  assert.deepEqual(turn.signs(expiry, name), { username, credential }, 'the node signs as coturn does');

  const now = Math.floor(Date.now() / 1000);
  const prolonged = { username: `${Number(expiry) + hours}:${name}`, credential };
  const refused = {
    expired: turn.signs(now - 1, name),
    prolonged,
    'of somebody else': { username: `${expiry}:somebody-else`, credential },
    'with another signature': { username, credential: turn.signs(expiry, `${name}x`).credential },
  };
  assert.ok(await turn.serves({ username, credential }));
  for (const [how, credentials] of Object.entries(refused)) {
    assert.ok(!(await turn.serves(credentials)), `credentials ${how} are refused`);
  }
  assert.equal(await alice.isRefusedBy({ urls: turn.url, ...prolonged }), 401);
});
