// Waiting for what must come true, instead of sleeping for luck.
import { setTimeout as pause } from 'node:timers/promises';

/** Looks again and again until `look` returns something true, and returns that; after `within` ms says what did not come. */
export async function until(what, look, { within = 15_000, every = 50 } = {}) {
  const end = Date.now() + within;
  for (;;) {
    let seen;
    // A look that fails is one that came too early: a page in the midst of loading has nothing to look at.
    try {
      seen = await look();
      if (seen) return seen;
    } catch (problem) {
      seen = problem.message;
    }
    if (Date.now() > end) throw new Error(`${what}: not within ${within / 1000} s (last seen: ${JSON.stringify(seen)})`);
    await pause(every);
  }
}
