// A scene: a title, people, a house of their own to play in, and a deadline.
import test from 'node:test';
import { House } from './house.js';

/** Plays `play(house)`; whatever happens, the house is empty afterwards, and a scene that fails says what was heard in it. */
export function scene(title, play, { deadline = 120_000 } = {}) {
  test(title, async () => {
    const house = new House(title);
    try {
      await within(deadline, play(house));
    } catch (problem) {
      await house.testify();
      throw problem;
    } finally {
      await house.end();
    }
  });
}

async function within(deadline, playing) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`the scene is not over after ${deadline / 1000} s`)), deadline);
  });
  return Promise.race([playing, late]).finally(() => clearTimeout(timer));
}
