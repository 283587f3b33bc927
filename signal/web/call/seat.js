// Which id this tab has in this room: kept over a reload, never shared with another tab.

const LOCK_TRIES = 4;
const LOCK_PAUSE = 120;

const key = (slug) => `switchboard:${slug}`;

/** {token, id, name, joined} as this tab left it, or {}. */
export function recall(slug) {
  try {
    return JSON.parse(sessionStorage.getItem(key(slug))) ?? {};
  } catch {
    return {};
  }
}

export function remember(slug, seat) {
  try {
    sessionStorage.setItem(key(slug), JSON.stringify(seat));
  } catch {
    // Without storage a reload is a new guest, which is no reason not to call.
  }
}

/**
 * Takes the id for this page; false when another tab of this browser has it (a duplicated tab brings a copy of the storage along).
 * Where the browser has no locks (not on a secure address) everybody is believed; then the node lets the newer one in.
 */
export async function take(id) {
  if (!navigator.locks) return true;
  // A page that is being reloaded may still hold the lock for a moment.
  for (let left = LOCK_TRIES; left > 0; left--) {
    if (await lock(id)) return true;
    await new Promise((resolve) => setTimeout(resolve, LOCK_PAUSE));
  }
  return false;
}

function lock(id) {
  return new Promise((answer) => {
    navigator.locks.request(`switchboard:${id}`, { ifAvailable: true }, (held) => {
      answer(held !== null);
      return held && new Promise(() => {});
    });
  });
}
