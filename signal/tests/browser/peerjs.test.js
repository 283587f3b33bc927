import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { app, clientsOf } from './peerjs_app.js';
import { scene } from './scene.js';

/** Two nodes with a balancer before them, Alice on the one and Bob on the other. */
async function apart(house) {
  const redis = await house.redis();
  const nodes = [await house.node('a', { redis }), await house.node('b', { redis })];
  const balancer = await house.balancer(...nodes);
  const [alice, bob] = [await app(house, balancer.url), await app(house, balancer.url)];
  await alice.becomes('alice');
  const hers = (await clientsOf(nodes[0])) === 1 ? nodes[0] : nodes[1];
  await bob.becomesElsewhere('bob', hers);
  return { nodes, balancer, alice, bob, hers };
}

/** Nothing that was open has ended, for either of them. */
async function nothingHasEnded(...apps) {
  for (const app of apps) {
    assert.deepEqual([...(await app.happened('closed')), ...(await app.happened('hung up'))], [], `at ${app.id}'s`);
  }
}

scene('two PeerJS apps on two nodes, one of which dies', async (house) => {
  const { alice, bob, hers } = await apart(house);
  await alice.connects('bob');
  await alice.happens('connected bob');
  await bob.happens('connected alice');
  await alice.says('hello');
  await bob.happens('data alice hello');
  await bob.says('hello yourself');
  await alice.happens('data bob hello yourself');
  await alice.calls('bob');
  await alice.happens('stream bob');
  await bob.happens('stream alice');
  await Promise.all([alice.sees(), bob.sees()]);

  await hers.part.dies();
  await alice.happens('disconnected');
  await alice.says('my node has died');
  await bob.happens('data alice my node has died');
  await alice.happens('open', { times: 2 });
  await Promise.all([alice.sees(), bob.sees()]);

  await bob.connects('alice');
  await bob.happens('connected alice', { times: 2 });
  await bob.calls('alice');
  await alice.happens('stream bob', { times: 2 });
  await Promise.all([alice.sees(), bob.sees()]);
  await nothingHasEnded(alice, bob);
  assert.deepEqual(await bob.happened('error'), []);
  const others = (await alice.happened('error')).filter((error) => error !== 'error network');
  assert.deepEqual(others, [], 'a line that is lost is told, and nothing else');
});

scene('the network of two PeerJS apps is cut while they talk', async (house) => {
  const { nodes, balancer, alice, bob } = await apart(house);
  await alice.connects('bob');
  await bob.happens('connected alice');
  await alice.calls('bob');
  await Promise.all([alice.happens('stream bob'), bob.happens('stream alice')]);
  for (let round = 1; round <= 2; round += 1) {
    await balancer.cuts();
    await Promise.all([alice.happens('disconnected', { times: round }), bob.happens('disconnected', { times: round })]);
    await Promise.all([alice.happens('open', { times: round + 1 }), bob.happens('open', { times: round + 1 })]);
    await alice.connects('bob');
    await alice.happens('connected bob', { times: round + 1 });
  }
  await Promise.all([alice.sees(), bob.sees()]);
  await nothingHasEnded(alice, bob);

  // Somebody who closes the page and opens it again has another token, and the same id all the same.
  await alice.page.close();
  const again = await app(house, balancer.url);
  await again.becomes('alice');
  await again.connects('bob');
  await again.happens('connected bob');
  assert.deepEqual(await again.happened('error'), []);
  assert.equal((await clientsOf(nodes[0])) + (await clientsOf(nodes[1])), 2);
});

scene('a PeerJS callee who is late, on another node, and one who never comes', async (house) => {
  const { alice, bob } = await apart(house);
  await alice.connects('carol');
  await bob.connects('nobody');
  await pause(3_000);
  const carol = await app(house, alice.url);
  await carol.becomes('carol');
  await carol.happens('connected alice', { within: 3_000 });
  await alice.says('you are late');
  await carol.happens('data alice you are late');
  assert.deepEqual(await alice.happened('error'), []);

  await bob.happens('error peer-unavailable');
  // As long again as it took to be told once.
  await pause(6_000);
  assert.deepEqual(await bob.happened('error'), ['error peer-unavailable']);
  assert.deepEqual(await alice.happened('error'), []);
});
