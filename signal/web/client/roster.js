// Who is in the room, and what changed since it was last told.

/** `room-info`'s list of {id, username}, without what is not one. */
export function readRoster(data) {
  const clients = Array.isArray(data?.clients) ? data.clients : [];
  return clients.filter(({ id }) => typeof id === "string").map(({ id, username }) => ({ id, username: String(username ?? "") }));
}

/** {came, left, renamed}: those of `next` not in `before`, those gone, those whose name is another one. */
export function difference(before, next) {
  const was = new Map(before.map((client) => [client.id, client]));
  const is = new Set(next.map(({ id }) => id));
  return {
    came: next.filter(({ id }) => !was.has(id)),
    left: before.filter(({ id }) => !is.has(id)),
    renamed: next.filter(({ id, username }) => was.has(id) && was.get(id).username !== username),
  };
}
