import assert from 'node:assert/strict';
import { connections } from './node.js';
import { scene } from './scene.js';
import { until } from './until.js';
import { document } from './y_webrtc_app.js';

const documents = (node) => connections(node, 'y-webrtc');

/** One more document in `room`, when its socket is there; the node that has it. */
async function joins(browser, name, { nodes, url }, room, password) {
  const counts = () => Promise.all(nodes.map(documents));
  const before = await counts();
  const doc = await document(browser, name);
  await doc.opens(url, room, password);
  const [node] = await until(`${name} is on a node`, async () => {
    const now = await counts();
    const index = now.findIndex((count, i) => count > before[i]);
    return index >= 0 && [nodes[index]];
  });
  return { doc, node };
}

/** Two documents in `room` whose sockets are on different nodes. */
async function apart(browser, cluster, room, password) {
  const first = await joins(browser, 'the first', cluster, room, password);
  for (let attempt = 0; attempt < 6; attempt++) {
    const second = await joins(browser, 'the second', cluster, room, password);
    if (second.node !== first.node) return [first, second];
    await second.doc.closes();
    await until('it is gone', async () => (await documents(first.node)) === 1);
  }
  return assert.fail('never on different nodes');
}

/** Each has what both have written, which came through no BroadcastChannel. */
async function areInSync(one, other) {
  await one.writes('tea');
  await other.writes('milk');
  for (const doc of [one, other]) {
    await doc.reads('tea', 'milk');
    assert.deepEqual(await doc.peers(), { webrtc: 1, broadcast: 0 });
  }
}

scene('y-webrtc documents on two nodes find each other, with a password and without, and when a node has died', async (house) => {
  const redis = await house.redis();
  const nodes = await Promise.all([house.node('a', { redis }), house.node('b', { redis })]);
  const { url } = await house.balancer(...nodes);
  const cluster = { nodes, url };
  const browser = await house.browser();

  const secret = await apart(browser, cluster, 'secret', 'sesame');
  await areInSync(...secret.map(({ doc }) => doc));
  const { doc: stranger } = await joins(browser, 'a stranger', cluster, 'secret', 'barley');
  const { doc: friend } = await joins(browser, 'a friend', cluster, 'secret', 'sesame');
  await friend.reads('tea', 'milk');
  await friend.meets(2);
  // What told the others of the friend went to the stranger too.
  assert.deepEqual([await stranger.words(), await stranger.peers()], ['', { webrtc: 0, broadcast: 0 }]);
  const there = [...secret.map(({ doc }) => doc), friend, stranger];
  await Promise.all(there.map((doc) => doc.closes()));
  await until('all of them are gone', async () => (await documents(nodes[0])) + (await documents(nodes[1])) === 0);

  const [{ doc: one, node: its }, { doc: other, node: survivor }] = await apart(browser, cluster, 'open');
  await areInSync(one, other);
  const { doc: third, node: thirds } = await joins(browser, 'the third', cluster, 'open');
  await third.reads('tea', 'milk');
  await third.meets(2);

  const homeless = await Promise.all(
    (thirds === its ? [one, third] : [one]).map(async (doc) => ({ doc, before: await doc.announced() })),
  );
  await its.part.dies();
  await other.writes('honey');
  await one.reads('tea', 'milk', 'honey');
  await until('all of them are on the other node', async () => (await documents(survivor)) === 3);
  // Where two announcements cross, both sides offer, and y-webrtc does not always get over that.
  for (const { doc, before } of homeless) {
    await until(`${doc.name} is announced`, async () => (await doc.announced()) > before);
  }
  const { doc: late } = await joins(browser, 'the late one', { nodes: [survivor], url }, 'open');
  await late.meets(3);
  await late.writes('sugar');
  for (const doc of [one, other, third, late]) await doc.reads('tea', 'milk', 'honey', 'sugar');
  assert.deepEqual(await late.peers(), { webrtc: 3, broadcast: 0 });
});
