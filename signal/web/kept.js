// What this browser keeps between pages, as JSON. Where it may keep nothing, everything is asked or chosen anew.

/** What was kept as `key`, or `otherwise`; in "sessionStorage" it is this tab's alone. */
export function recall(key, otherwise, storage = "localStorage") {
  try {
    return JSON.parse(globalThis[storage].getItem(key)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

export function keep(key, value, storage = "localStorage") {
  try {
    globalThis[storage].setItem(key, JSON.stringify(value));
  } catch {
    // No reason not to call.
  }
}
