// What this tab was in this room: kept over a reload, for this tab alone.

import * as kept from "../kept.js";

export { take } from "../client/seat.js";

const key = (slug) => `switchboard:${slug}`;

/** {token, id, name, joined, wanted} as this tab left it, or {}. */
export const recall = (slug) => kept.recall(key(slug), {}, "sessionStorage");

export const remember = (slug, seat) => kept.keep(key(slug), seat, "sessionStorage");
