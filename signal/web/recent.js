// The rooms that this browser was in lately: kept here, and told to nobody.

import { keep, recall } from "./kept.js";

const KEY = "switchboard:rooms";
const MOST = 5;

/** [{slug, name}], the latest first. */
export const recentRooms = () => recall(KEY, []);

export function rememberRoom(slug, name) {
  const others = recentRooms().filter((room) => room.slug !== slug);
  keep(KEY, [{ slug, name }, ...others].slice(0, MOST));
}

export const forgetRooms = () => keep(KEY, []);
