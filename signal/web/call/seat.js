// What this tab was in this room: kept over a reload, for this tab alone.

export { take } from "../client/seat.js";

const key = (slug) => `switchboard:${slug}`;

/** {token, id, name, joined, wanted} as this tab left it, or {}. */
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
