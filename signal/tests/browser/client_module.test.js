import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { elsewhere } from './elsewhere.js';
import { repository } from './node.js';
import { freePort } from './part.js';
import { scene } from './scene.js';
import { until } from './until.js';

/** The README's lines for a page of one's own: its one indented block that imports the client module. */
async function readmeLines() {
  const readme = await readFile(join(repository, 'README.md'), 'utf8');
  const blocks = [...readme.matchAll(/(?:^ {4}.*\n|^\n(?= {4}))+/gm)].map(([block]) => block.replaceAll(/^ {4}/gm, ''));
  const lines = blocks.filter((block) => block.includes('/client.js"'));
  assert.equal(lines.length, 1, 'the README shows the client module once');
  return lines[0];
}

/** The address of an empty page with the README's lines in it; its `call` can be asked afterwards. */
async function pageWithLines(node) {
  const lines = (await readmeLines()).replace('http://localhost:8080/', node.url);
  return elsewhere(`<!doctype html><title>An app</title><script type="module">${lines};window.call = call;</script>`);
}

/** What a page of these lines shows: one moving video, with sound in its stream. */
function seesSomebody(person) {
  const frames = () =>
    person.page.evaluate(() => {
      const videos = [...document.querySelectorAll('video')];
      return videos.length === 1 ? videos[0].getVideoPlaybackQuality().totalVideoFrames : 0;
    });
  let from = Infinity;
  return until(`${person} sees somebody`, async () => {
    const now = await frames();
    from = Math.min(from, now);
    return now > 0 && now >= from + 10;
  });
}

/** Keeps the lines of the chat that the page's client hears, where `hears` finds them. */
function listens(person) {
  return person.page.evaluate(() => {
    window.lines = [];
    window.call.addEventListener('text', ({ detail }) => detail.pending || window.lines.push(`${detail.from}: ${detail.text}`));
  });
}

const hears = (person, line) =>
  until(`${person} hears “${line}”`, () => person.page.evaluate((line) => window.lines.includes(line), line));

const state = (person, state) =>
  until(`${person} is ${state}`, () => person.page.evaluate((state) => window.call?.state === state, state));

const idOf = (person) => person.page.evaluate(() => window.call.id);

scene('the lines of the README, in an empty page from elsewhere, make a call', async (house) => {
  const env = {
    SIGNAL__LISTEN: `127.0.0.1:${await freePort()}`,
    SIGNAL__SESSION__SECRET: randomBytes(32).toString('base64'),
  };
  const node = await house.node('a', { env });
  const page = await pageWithLines(node);
  const people = [await house.caller('Ada'), await house.caller('Grace')];
  const [ada, grace] = people;
  for (const person of people) await person.opens(page);
  for (const person of people) await seesSomebody(person);
  for (const person of people) await listens(person);

  await ada.page.evaluate(() => window.call.rename('Augusta'));
  await ada.page.evaluate(() => window.call.say('Tea?'));
  await hears(grace, 'Augusta: Tea?');

  const id = await idOf(grace);
  await grace.page.reload();
  await seesSomebody(grace);
  assert.equal(await idOf(grace), id, 'a reload is the same person');
  await seesSomebody(ada);
  await listens(grace);

  await node.part.dies();
  for (const person of people) await state(person, 'reconnecting');
  for (const person of people) await seesSomebody(person);
  await house.node('a', { env });
  for (const person of people) await state(person, 'connected');
  assert.equal(await idOf(grace), id, 'a restart of the node does not make her another person');
  // Rosters that follow close on each other are told as one, and who speaks meanwhile is shown by the name of before.
  await until('Ada knows her name', () =>
    ada.page.evaluate((id) => window.call.roster.some((client) => client.id === id && client.username === 'Ada'), id),
  );
  await grace.page.evaluate(() => window.call.say('With milk.'));
  await hears(ada, 'Ada: With milk.');
  await seesSomebody(ada);

  await grace.page.evaluate(() => window.call.leave());
  await until('her picture is gone', () => ada.page.evaluate(() => !document.querySelector('video')));
  await until('and she sees nobody any more', () => grace.page.evaluate(() => !document.querySelector('video')));
});
