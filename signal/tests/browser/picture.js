// Makes the README's picture, signal/docs/call.png: `node picture.js`, with a built node as for the scenes.
import { fileURLToPath } from 'node:url';
import { drawn } from './faces.js';
import { House } from './house.js';
import { until } from './until.js';

const file = fileURLToPath(new URL('../../docs/call.png', import.meta.url));
const setList = ['Set list for Sunday', '1   Harbour lights', '2   The long way round', '3   Copper wire', '4   Second verse, from the top'];
const talk = [
  [1, 'Who else hears the bass?'],
  [2, 'Loud and clear from Tampere.'],
  [0, 'Second verse, from the top?'],
  [1, 'Two minutes, I am tuning.'],
];

const house = new House('picture');
try {
  const node = await house.node('a');
  const browser = await house.browser();
  const people = [];
  for (const [i, name] of ['Mara', 'Idris', 'Jonna'].entries()) {
    const person = await house.caller(name, { browser });
    people.push(person);
    await person.holds({ width: 1240, height: 760 });
    await drawn(person.page, i, setList);
    await person.opens(i === 0 ? node.url : people[0].url());
    if (i === 0) await person.makesRoom('Sunday Band');
    await person.joins();
  }
  const [mara, idris, jonna] = people;
  for (const [who, text] of talk) {
    await people[who].says(text);
    await mara.hears(text);
  }
  await jonna.presses('Share screen');
  await mara.seesScreenOf(jonna, { within: 30_000 });
  for (const person of [idris, jonna]) {
    await mara.sees(person);
    await mara.reaches(person, 'direct');
  }
  // Sharp, when the line has found how much it carries.
  await until('the screen is there in full', () =>
    mara.page.evaluate(() => document.querySelector('[data-screen] video').videoWidth >= 1280), { within: 60_000 });
  await mara.page.mouse.move(5, 5);
  await mara.page.evaluate(() => document.activeElement.blur());
  await mara.page.screenshot({ path: file });
  console.log(file);
} finally {
  await house.end();
}
