import assert from 'node:assert/strict';
import { scene } from './scene.js';
import { tunnel } from './tunnel.js';
import { until } from './until.js';

/** He writes so many lines at once, as he never could by hand. */
const writes = (person, count) =>
  person.page.evaluate((count) => {
    for (let n = 0; n < count; n++) {
      document.querySelector('#chat-input').value = `line ${n}`;
      document.querySelector('#chat-form').requestSubmit();
    }
  }, count);

scene('who writes more lines than can wait sees which were not sent, and why', async (house) => {
  const node = await house.node('a');
  const network = await tunnel(node.url);
  const browser = await house.browser();
  const [alice, bob] = [await house.caller('Alice', { browser }), await house.caller('Bob', { browser })];
  await alice.opens(new URL('/room/talk', node.url));
  await alice.joins();
  await bob.opens(new URL('/room/talk', network.url));
  await bob.joins();
  network.isGone();
  await writes(bob, 300);
  const failed = bob.page.locator('#chat-log .failed');
  const note = bob.page.locator('#media-note');
  assert.match(await bob.page.locator('#chat-log li').last().innerText(), /line 299/);
  const count = await failed.count();
  assert.ok(count >= 300 - 256, `${count} lines are shown as failed`);
  assert.match(await note.innerText(), /^Not sent/);

  await bob.is('reconnecting', { within: 30_000 });
  network.isBack();
  await until('nothing waits any more', async () => (await bob.page.locator('#chat-log .pending').count()) === 0, { within: 40_000 });
  assert.equal(await failed.count(), count);
  await alice.hears('line 0');
  await until('Alice has what was sent', async () => (await alice.heard()).length === 300 - count, { within: 20_000 });
});
