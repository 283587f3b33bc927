import assert from 'node:assert/strict';
import { scene } from './scene.js';

scene('two people in a room of a node in memory call each other directly', async (house) => {
  const node = await house.node('a');
  const alice = await house.caller('Alice');
  const bob = await house.caller('Bob');

  for (const person of [alice, bob]) {
    await person.opens(new URL('/room/direct', node.url));
    await person.joins();
  }

  await alice.sees(bob);
  await bob.sees(alice);
  await alice.reaches(bob, 'direct');
  await bob.reaches(alice, 'direct');
  for (const person of [alice, bob]) {
    const [pair, ...more] = await person.pairs();
    assert.doesNotMatch(pair, /relay/);
    assert.deepEqual(more, [], 'one connection to one peer');
  }

  await alice.tells(bob, 'Can you hear me?');
  await bob.tells(alice, 'Loud and clear.');
  await alice.screenshot('direct-alice');
});
