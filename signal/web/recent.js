// The rooms that this browser was in lately: kept here, and told to nobody.

const KEPT = "switchboard:rooms";
const MOST = 5;

/** [{slug, name}], the latest first. */
export function recentRooms() {
  try {
    const rooms = JSON.parse(localStorage.getItem(KEPT));
    return Array.isArray(rooms) ? rooms : [];
  } catch {
    return [];
  }
}

export function rememberRoom(slug, name) {
  keep([{ slug, name }, ...recentRooms().filter((room) => room.slug !== slug)].slice(0, MOST));
}

export function forgetRooms() {
  keep([]);
}

function keep(rooms) {
  try {
    localStorage.setItem(KEPT, JSON.stringify(rooms));
  } catch {
    // A convenience, no more.
  }
}
