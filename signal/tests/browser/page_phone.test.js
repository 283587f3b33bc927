// The call page on phones: everything within the screen, and large enough for a finger.
import assert from 'node:assert/strict';
import { scene } from './scene.js';

const screens = { upright: { width: 390, height: 780 }, small: { width: 320, height: 568 }, 'on its side': { width: 780, height: 360 } };
const finger = 44;

/** What sticks out of the screen, and what is too small to be hit. */
const misfits = ({ page }) =>
  page.evaluate((finger) => {
    const { scrollWidth, scrollHeight } = document.documentElement;
    const shown = [...document.querySelectorAll('button, a, input, select, .tile')].filter((element) => element.checkVisibility() && !element.closest('[inert], .unseen'));
    const described = (element) => `${element.id || element.className}: ${JSON.stringify(element.getBoundingClientRect())}`;
    const outside = shown.filter((element) => {
      const { left, top, right, bottom } = element.getBoundingClientRect();
      return left < 0 || top < 0 || right > innerWidth + 0.5 || bottom > innerHeight + 0.5;
    });
    const small = shown.filter((element) => {
      const { width, height } = element.getBoundingClientRect();
      return element.matches('button') && getComputedStyle(element).pointerEvents !== 'none' && Math.min(width, height) < finger - 0.5;
    });
    const scrolls = scrollWidth > innerWidth || scrollHeight > innerHeight ? [`${scrollWidth}×${scrollHeight}`] : [];
    return { scrolls, outside: outside.map(described), small: small.map(described) };
  }, finger);

const none = { scrolls: [], outside: [], small: [] };

scene('a call on a phone, upright and on its side, with chat and a shared screen', async (house) => {
  const node = await house.node('a');
  const browser = await house.browser();
  const alice = await house.caller('Alice', { browser });
  const bob = await house.caller('Bob', { browser });
  const room = new URL('/room/phone', node.url);
  await bob.opens(room);
  await bob.joins();
  await alice.holds(screens.upright);
  // Nothing is caught on its way from one place to another.
  await alice.page.emulateMedia({ reducedMotion: 'reduce' });
  await alice.opens(room);
  await alice.joins();
  await alice.sees(bob);

  for (const [how, screen] of Object.entries(screens)) {
    await alice.holds(screen);
    assert.deepEqual(await misfits(alice), none, `a call of two, ${how}`);
    await alice.screenshot(`phone-${how.replaceAll(' ', '-')}`);
    await alice.presses('Chat');
    assert.deepEqual(await misfits(alice), none, `the chat, ${how}`);
    await alice.says(`This is ${how}`);
    await bob.hears(`This is ${how}`);
    assert.ok(await alice.page.locator('#hangup').isEnabled(), 'hanging up is within reach');
    await alice.page.keyboard.press('Escape');
    await alice.page.locator('#panel').waitFor({ state: 'hidden' });
  }
  await bob.presses('Share screen');
  await alice.seesScreenOf(bob);
  for (const [how, screen] of Object.entries(screens)) {
    await alice.holds(screen);
    assert.deepEqual(await misfits(alice), none, `a shared screen, ${how}`);
  }
});
