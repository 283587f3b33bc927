// The pass of this tab, kept over a reload and never shared with another tab.

const LOCK_TRIES = 4;
const LOCK_PAUSE = 120;

export class Seat {
  #key;
  #id = null;

  /** In `room` of the node at the URL `server`. */
  constructor(server, room) {
    this.#key = `switchboard:pass:${new URL(server).host}/${room}`;
  }

  /** The {id, token} that this tab had before it was loaded anew, or null. */
  async recall() {
    const pass = this.#read();
    if (!pass?.id || !pass.token) return null;
    return (await this.#take(pass.id)) ? pass : null;
  }

  /** Keeps `pass` for this tab. */
  keep(pass) {
    if (this.#id !== pass.id) this.#lock(pass.id);
    this.#write(JSON.stringify(pass));
  }

  forget() {
    this.#write("null");
  }

  // Without storage a reload is a new guest, which is no reason not to call.

  #read() {
    try {
      return JSON.parse(sessionStorage.getItem(this.#key));
    } catch {
      return null;
    }
  }

  #write(text) {
    try {
      sessionStorage.setItem(this.#key, text);
    } catch {
      // See above.
    }
  }

  /**
   * False when another tab of this browser has the id: a duplicated tab brings a copy of the storage along. Where the
   * browser has no locks (not on a secure address) everybody is believed; then the node lets the newer one in.
   */
  async #take(id) {
    // A page that is being reloaded may still hold the lock for a moment.
    for (let left = LOCK_TRIES; left > 0; left--) {
      if (await this.#lock(id)) return true;
      await new Promise((resolve) => setTimeout(resolve, LOCK_PAUSE));
    }
    return false;
  }

  /** Held until the page is gone. */
  #lock(id) {
    const { locks } = navigator;
    if (!locks) return true;
    return new Promise((answer) => {
      const held = locks.request(`switchboard:${id}`, { ifAvailable: true }, (lock) => {
        if (lock) this.#id = id;
        answer(lock !== null);
        return lock && new Promise(() => {});
      });
      held.catch(() => answer(true));
    });
  }
}
