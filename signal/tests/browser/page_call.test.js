// The call page: what is shared, which devices are used, and what the keys do.
import assert from 'node:assert/strict';
import { scene } from './scene.js';
import { until } from './until.js';

// Of Chromium's fake cameras the first and the third can be sent (the second gives JPEG pictures, which WebRTC drops).
const cameras = '--use-fake-device-for-media-stream=device-count=3';
const third = 2;

async function meet(house, name) {
  const node = await house.node('a');
  const browser = await house.browser({ args: [cameras] });
  const people = [];
  for (const who of ['Alice', 'Bob']) {
    const person = await house.caller(who, { browser });
    people.push(person);
    await person.opens(new URL(`/room/${name}`, node.url));
    await person.joins();
  }
  const [alice, bob] = people;
  await alice.sees(bob);
  await bob.sees(alice);
  return people;
}

scene('a screen is shared, large at the other’s, until it is stopped on the page or in the browser', async (house) => {
  const [alice, bob] = await meet(house, 'screens');
  await alice.presses('Share screen');
  await alice.reads('You are sharing your screen');
  await bob.seesScreenOf(alice);
  await bob.sees(alice);
  await bob.screenshot('screen-bob');
  await alice.presses('Stop sharing');
  await bob.seesNoScreen();

  await alice.presses('Share screen');
  await bob.seesScreenOf(alice);
  // What the browser's own button does: the track ends.
  await alice.page.evaluate(() => {
    const [track] = document.querySelector('#sharing video').srcObject.getTracks();
    track.stop();
    track.dispatchEvent(new Event('ended'));
  });
  await bob.seesNoScreen();
  await alice.page.locator('#sharing').waitFor({ state: 'hidden' });
  await bob.sees(alice);

  // Nobody chooses one, or the system does not allow it.
  await alice.page.evaluate(() => {
    navigator.mediaDevices.getDisplayMedia = () => Promise.reject(new DOMException('Permission denied', 'NotAllowedError'));
  });
  await alice.presses('Share screen');
  await alice.reads('Your screen is not shared');
  assert.equal(await alice.page.locator('#screen').getAttribute('aria-pressed'), 'false');
});

scene('another camera and another microphone are used at once, kept, and replaced when they go', async (house) => {
  const [alice, bob] = await meet(house, 'devices');
  const used = () =>
    alice.page.evaluate(() => {
      const connection = window.connections.find(({ connectionState }) => connectionState === 'connected');
      return connection.getSenders().map(({ track }) => track && { kind: track.kind, id: track.getSettings().deviceId });
    });
  const before = await used();
  const descriptions = alice.descriptions();
  await alice.takes('Camera', third);
  await alice.takes('Microphone', third);
  const after = await until('both are others', async () => {
    const now = await used();
    return now.every((track, i) => track && track.id !== before[i].id) && now;
  });
  await bob.sees(alice);
  assert.equal(alice.descriptions(), descriptions, 'nothing was negotiated');

  // Pulled out: it is no longer there to be asked for, and its track ends.
  await alice.page.evaluate(() => {
    const [track] = document.querySelector('#self video').srcObject.getTracks();
    const gone = track.getSettings().deviceId;
    const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (wishes) => {
      if (wishes.video?.deviceId?.exact === gone) throw new DOMException('gone', 'OverconstrainedError');
      return open(wishes);
    };
    track.stop();
    track.dispatchEvent(new Event('ended'));
  });
  await alice.reads('is used now');
  await bob.sees(alice);
  assert.equal(alice.descriptions(), descriptions, 'nor now');

  await alice.reloads();
  await alice.sees(bob);
  await bob.sees(alice);
  const again = await used();
  for (const track of after) assert.ok(again.some(({ id }) => id === track.id), `${track.kind} is the one that was chosen`);
});

scene('keys press buttons, but not while somebody types', async (house) => {
  const [alice, bob] = await meet(house, 'keys');
  const pressed = (id) => alice.page.locator(`#${id}`).getAttribute('aria-pressed');
  const is = (id, state) => until(`${id} is ${state}`, async () => (await pressed(id)) === state);
  await alice.page.locator('#hangup').focus();
  await alice.page.keyboard.press('m');
  await is('mic', 'false');
  await alice.page.keyboard.press('v');
  await is('camera', 'false');
  await alice.page.keyboard.press('m');
  await alice.page.keyboard.press('v');
  await is('mic', 'true');
  await is('camera', 'true');
  await bob.sees(alice);

  await alice.page.keyboard.press('c');
  await alice.page.locator('#panel').waitFor({ state: 'hidden' });
  await bob.says('Psst');
  await until('Alice is told of what she does not see', () => alice.page.locator('#news').innerText().then((t) => t.includes('Bob: Psst')));
  await alice.page.keyboard.press('c');
  await alice.page.locator('#chat-input').pressSequentially('mvc?');
  assert.equal(await pressed('mic'), 'true');
  await alice.page.keyboard.press('Enter');
  await bob.hears('mvc?');

  await alice.page.locator('#mic').focus();
  await alice.page.keyboard.press('?');
  await alice.reads('Keyboard shortcuts');
  await alice.page.keyboard.press('m');
  assert.equal(await pressed('mic'), 'true', 'not behind a dialog');
  await alice.page.locator('#keys-on').uncheck();
  await alice.page.keyboard.press('Escape');
  await alice.page.locator('#keys').waitFor({ state: 'hidden' });
  await alice.page.locator('#mic').focus();
  await alice.page.keyboard.press('v');
  await alice.page.keyboard.press('?');
  await alice.reads('Keyboard shortcuts');
  assert.equal(await pressed('camera'), 'true', 'keys that are switched off do nothing');
});
