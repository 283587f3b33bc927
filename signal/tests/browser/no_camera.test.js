import assert from 'node:assert/strict';
import { scene } from './scene.js';

scene('somebody who allows neither camera nor microphone sees, hears and chats', async (house) => {
  const node = await house.node('a');
  const alice = await house.caller('Alice');
  const bob = await house.caller('Bob', { browser: await house.browser({ camera: false }) });

  await meet(alice, bob, new URL('/room/no-camera', node.url));
  await bob.screenshot('no-camera-bob');
});

scene('on an address where a browser gives no camera one can still see, hear and chat', async (house) => {
  const node = await house.node('a');
  const elsewhere = new URL('/room/insecure', node.url);
  elsewhere.hostname = 'switchboard.test';
  const browser = await house.browser({ args: [`--host-resolver-rules=MAP ${elsewhere.hostname} 127.0.0.1`] });
  const alice = await house.caller('Alice');
  const bob = await house.caller('Bob', { browser });

  await meet(alice, bob, new URL('/room/insecure', node.url), elsewhere);
  await bob.screenshot('insecure-bob');
});

/** Alice, who has a camera, and Bob, who has none. */
async function meet(alice, bob, hers, his = hers) {
  await alice.opens(hers);
  await alice.joins();
  await bob.opens(his);
  assert.notEqual(await bob.isTold(), '', 'why there is no camera, and what to do');
  await bob.joins();

  await bob.sees(alice);
  await alice.tells(bob, 'I cannot see you.');
  await bob.tells(alice, 'I have no camera.');
}
