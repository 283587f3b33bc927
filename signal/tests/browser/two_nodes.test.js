import assert from 'node:assert/strict';
import { onDifferentNodes } from './meeting.js';
import { scene } from './scene.js';

scene('two people on two nodes, one of which dies', async (house) => {
  const redis = await house.redis();
  const nodes = [await house.node('a', { redis }), await house.node('b', { redis })];
  const balancer = await house.balancer(...nodes);
  const [alice, bob] = await onDifferentNodes(house, balancer);

  await alice.sees(bob);
  await bob.sees(alice);
  await alice.tells(bob, 'Which node are you on?');
  await bob.tells(alice, 'Not on yours.');
  await alice.screenshot('two-nodes-before');

  const id = await alice.id();
  const connections = await alice.connections();
  const hers = nodes.find((node) => node.servedBy === alice.socketServedBy());
  const other = nodes.find((node) => node !== hers);
  const looked = await alice.watches(bob);
  const bobLooked = await bob.watches(alice);

  // With the door shut for a moment there is time to look at a page that no node answers.
  await balancer.closes();
  const killed = Date.now();
  await hers.part.dies();
  await alice.is('reconnecting', { within: 5_000 });
  await alice.sees(bob);
  await bob.sees(alice);
  await alice.screenshot('two-nodes-away');
  await balancer.opens();

  await alice.is('connected', { within: 10_000 - (Date.now() - killed) });
  assert.equal(await alice.id(), id);
  assert.equal(alice.socketServedBy(), other.servedBy);

  await alice.tells(bob, 'My node has died.');
  await bob.tells(alice, 'I have not noticed.');
  await alice.says('Let us go on.');
  for (const person of [alice, bob]) {
    await person.hears('Let us go on.');
    assert.deepEqual(await person.heard(), [
      'Which node are you on?',
      'Not on yours.',
      'My node has died.',
      'I have not noticed.',
      'Let us go on.',
    ]);
  }

  const seen = await looked();
  assert.ok(seen.framesWhileAway >= 10, `Bob moved for ${seen.framesWhileAway} frames while no node answered`);
  for (const { longestStill } of [seen, await bobLooked()]) {
    assert.ok(longestStill < 2_000, `the picture stood still for ${Math.round(longestStill)} ms`);
  }
  assert.equal(await alice.connections(), connections, 'the call is still the same');
  await alice.screenshot('two-nodes-after');
});
