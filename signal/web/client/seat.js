// Which id this tab has: kept over a reload, never shared with another tab.

const LOCK_TRIES = 4;
const LOCK_PAUSE = 120;

/** The pass of this tab for one room. */
export class Seat {
  #key;
  #taken = null;

  /** In `room` of the node at the URL `server`. */
  constructor(server, room) {
    this.#key = `switchboard:pass:${new URL(server).host}/${room}`;
  }

  /** The {id, token} that this tab had before it was loaded anew, or null. */
  async recall() {
    const pass = read(this.#key);
    if (!pass?.token || !(await take(pass.id))) return null;
    this.#taken = pass.id;
    return pass;
  }

  /** Keeps `pass` for this tab. */
  keep(pass) {
    if (this.#taken !== pass.id) take(pass.id);
    this.#taken = pass.id;
    write(this.#key, pass);
  }

  forget() {
    write(this.#key, null);
  }
}

/**
 * Takes an id for this page, until that is gone; false when another tab of this browser has it: a duplicated tab brings a
 * copy of the storage along. Where the browser has no locks (not on a secure address) everybody is believed; then the
 * node lets the newer one in.
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
    const locked = navigator.locks.request(`switchboard:${id}`, { ifAvailable: true }, (held) => {
      answer(held !== null);
      return held && new Promise(() => {});
    });
    // A page that may have no locks, in a frame of another host for one, may have no storage to share either.
    locked.catch(() => answer(true));
  });
}

function read(key) {
  try {
    return JSON.parse(sessionStorage.getItem(key));
  } catch {
    return null;
  }
}

function write(key, value) {
  try {
    sessionStorage.setItem(key, JSON.stringify(value));
  } catch {
    // Without storage a reload is a new guest, which is no reason not to call.
  }
}
