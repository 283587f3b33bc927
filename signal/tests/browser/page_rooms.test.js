// Making a room, and getting into it or not, in words.
import assert from 'node:assert/strict';
import { scene } from './scene.js';

scene('a room with a password and for two: who may come in, and what the others read', async (house) => {
  const node = await house.node('a');
  const browser = await house.browser();
  const [alice, bob, carol] = await Promise.all(['Alice', 'Bob', 'Carol'].map((name) => house.caller(name, { browser })));

  await alice.opens(node.url);
  const name = alice.page.locator('#room-name');
  await name.press('Enter');
  await alice.reads('Please give the room’s name.');
  await alice.page.getByText('Password, guests, listing').click();
  await alice.page.locator('#guest-limit').fill('-1');
  await name.fill('For two');
  await name.press('Enter');
  await alice.reads('The most guests at a time is not below 0');
  await alice.page.locator('#guest-limit').fill('100000');
  await name.press('Enter');
  await alice.reads('The most guests at a time is at most 1000');
  await alice.page.locator('#room-password').fill('sesame');
  await alice.page.locator('.reveal').click();
  assert.equal(await alice.page.locator('#room-password').getAttribute('type'), 'text');
  await alice.makesRoom('For two', { password: 'sesame', guests: 2 });
  await alice.joins();

  await bob.opens(alice.url());
  await bob.reads('This room has a password.');
  await bob.givesPassword('simsim');
  await bob.reads('That is not the password of this room.');
  await bob.screenshot('password-wrong');
  await bob.givesPassword('sesame');
  await bob.joins();
  await alice.sees(bob);
  await bob.sees(alice);

  await carol.opens(alice.url());
  await carol.givesPassword('sesame');
  await carol.reads('The room is full');
  await carol.screenshot('room-full');
  await bob.presses('Hang up');
  await bob.reads('You have hung up');
  await carol.page.getByRole('link', { name: 'Try again' }).click();
  await carol.givesPassword('sesame');
  await carol.joins();
  await alice.sees(carol);

  // Bob, who had a place, comes back to a room without one.
  await bob.presses('Rejoin the call');
  await bob.reads('The room is full');

  await carol.opens(node.url);
  await carol.reads('Where you were lately');
  await carol.page.locator('#room-name').fill('For two');
  await carol.presses('Open the room');
  await carol.reads('exists already');
  await carol.presses('Forget them');
  await carol.page.locator('#recent').waitFor({ state: 'hidden' });
});

scene('a page whose node is away says that the call goes on, and one without a network that it has none', async (house) => {
  const node = await house.node('a');
  const browser = await house.browser();
  const [alice, bob] = await Promise.all(['Alice', 'Bob'].map((name) => house.caller(name, { browser })));
  for (const person of [alice, bob]) {
    await person.opens(new URL('/room/away', node.url));
    await person.joins();
  }
  await alice.sees(bob);
  await node.part.dies();
  await alice.reads('Your call goes on');
  await alice.sees(bob);
  await alice.screenshot('node-away');
  await alice.page.context().setOffline(true);
  await alice.reads('Your device has no network');
});

scene('a browser without WebRTC is told so', async (house) => {
  const node = await house.node('a');
  const alice = await house.caller('Alice');
  await alice.page.addInitScript(() => delete window.RTCPeerConnection);
  await alice.opens(new URL('/room/old', node.url));
  await alice.reads('This browser cannot make calls');
});

scene('too many passwords, and a room that is not there, are told in words that lead on', async (house) => {
  const env = { SIGNAL__LIMITS__PASSWORD_ATTEMPTS: '2', SIGNAL__ROOMS__CREATE_ON_ENTRY: 'false' };
  const node = await house.node('a', { env });
  await fetch(new URL('/api/rooms', node.url), { method: 'POST', body: JSON.stringify({ name: 'Vault', password: 'sesame' }) });
  const alice = await house.caller('Alice');
  await alice.opens(new URL('/room/vault', node.url));
  for (const guess of ['a', 'b', 'c']) await alice.givesPassword(guess);
  await alice.reads('Too many tries');
  await alice.page.getByRole('link', { name: 'Try again' }).click();
  await alice.reads('This room has a password.');

  await alice.opens(new URL('/room/long-gone', node.url));
  await alice.reads('No such room');
  await alice.page.getByRole('link', { name: 'Open a room of this name' }).click();
  await alice.presses('Open the room');
  await alice.page.waitForURL('**/room/long-gone');
  await alice.reads('Ready to be put through?');
});
