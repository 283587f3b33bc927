// Every page, in every state and in light and dark, under the rules of axe-core: for keyboards, screen readers and eyes.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { scene } from './scene.js';

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Fails with what is wrong, and where, in words. */
async function mayBeUsedByEverybody({ page }, state) {
  // Halfway through, an animation has the colours of neither of its ends.
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    if (!(await page.evaluate('typeof axe !== "undefined"'))) await page.evaluate(axe);
    const { violations, passes } = await page.evaluate('axe.run()');
    const wrong = violations.map(({ id, help, nodes }) => `${id}: ${help}\n${nodes.map(({ target, failureSummary }) => `  ${target}: ${failureSummary}`).join('\n')}`);
    assert.equal(wrong.join('\n'), '', `${state}, ${colorScheme}`);
    assert.ok(passes.length > 10, `${state}: there is something to look at`);
  }
}

scene('the pages before a call', async (house) => {
  const node = await house.node('a');
  const alice = await house.caller('Alice');
  const bob = await house.caller('Bob', { browser: alice.page.context().browser() });
  await alice.opens(node.url);
  await mayBeUsedByEverybody(alice, 'the start page');
  await alice.page.locator('#room-name').press('Enter');
  await alice.reads('Please give the room’s name');
  await alice.page.getByText('Password, guests, listing').click();
  await mayBeUsedByEverybody(alice, 'the start page, with something wrong');

  await alice.makesRoom('A small room', { password: 'sesame', guests: 1, listed: true });
  await alice.joins();
  await bob.opens(node.url);
  await bob.opens(new URL('/public', node.url));
  await mayBeUsedByEverybody(bob, 'the public rooms');
  await bob.opens(new URL('/room/a-small-room', node.url));
  await mayBeUsedByEverybody(bob, 'the question for a password');
  await bob.givesPassword('simsim');
  await bob.reads('That is not the password');
  await mayBeUsedByEverybody(bob, 'a wrong password');
  await bob.givesPassword('sesame');
  await bob.reads('The room is full');
  await mayBeUsedByEverybody(bob, 'a full room');
  await bob.opens(new URL('/nowhere', node.url));
  await mayBeUsedByEverybody(bob, 'a page that is not there');
});

scene('the page for trying a protocol', async (house) => {
  const node = await house.node('a');
  const alice = await house.caller('Alice');
  await alice.opens(new URL('/try', node.url));
  await mayBeUsedByEverybody(alice, 'before anybody is connected');
  const one = alice.page.getByRole('region', { name: 'Peer A', exact: true });
  await one.getByText('The same from a shell').click();
  await one.getByRole('button', { name: 'Connect' }).click();
  await one.getByRole('button', { name: 'ping' }).click();
  await one.getByRole('button', { name: 'Send' }).click();
  await alice.reads('pong');
  await one.getByText('What makes sense later').click();
  await one.getByLabel('Frame to send').fill('no JSON');
  await mayBeUsedByEverybody(alice, 'a connected peer');
  await alice.holds({ width: 390, height: 780 });
  await mayBeUsedByEverybody(alice, 'the same on a phone');
});

scene('the call page', async (house) => {
  const node = await house.node('a');
  const browser = await house.browser();
  const alice = await house.caller('Alice', { browser });
  const bob = await house.caller('Bob', { browser });
  const room = new URL('/room/everybody', node.url);
  await alice.opens(room);
  await mayBeUsedByEverybody(alice, 'the lobby');
  await alice.joins();
  await mayBeUsedByEverybody(alice, 'alone');
  await bob.opens(room);
  await bob.joins();
  await alice.sees(bob);
  await alice.tells(bob, 'Good evening');
  await bob.presses('Camera');
  await bob.presses('Share screen');
  await alice.seesScreenOf(bob);
  await mayBeUsedByEverybody(alice, 'a call, with the chat and a screen');
  await mayBeUsedByEverybody(bob, 'a call, sharing');
  await alice.presses('Devices');
  await mayBeUsedByEverybody(alice, 'the devices');
  await alice.presses('Done');
  await alice.presses('Keyboard shortcuts');
  await mayBeUsedByEverybody(alice, 'the keys');
  await alice.presses('Done');

  await alice.holds({ width: 390, height: 780 });
  await mayBeUsedByEverybody(alice, 'a call on a phone');
  await alice.presses('Chat');
  await mayBeUsedByEverybody(alice, 'the chat on a phone');
  await alice.presses('Hang up');
  await alice.reads('You have hung up');
  await mayBeUsedByEverybody(alice, 'the end');
});
