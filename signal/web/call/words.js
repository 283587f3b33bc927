// What a page says of its line to the server, in each of its states.

const LOST = "No connection to the server";
const ROOM_FULL = 418;
const GONE = 404;
const LOCKED = 401;

/** For the head of the page; and, when something is wrong, {trouble}: what, and what happens now. */
export function wordsFor(state, { others, online, problem }) {
  if (state === "connecting" && problem) return { status: "Waiting…", trouble: problem };
  if (state === "connecting") return online ? { status: "Connecting…" } : { status: "Offline", trouble: offline(0) };
  if (state === "connected") return { status: "Connected" };
  if (state !== "reconnecting") return { status: "" };
  if (!online) return { status: "Offline", trouble: offline(others) };
  const goesOn = others ? "Your call goes on, you still see and hear each other. " : "";
  return { status: "Reconnecting…", trouble: problem ?? `${LOST}. ${goesOn}Reconnecting…` };
}

function offline(others) {
  const goesOn = others ? "The call comes back with it" : "This page connects as soon as it is back";
  return `Your device has no network. ${goesOn}.`;
}

const GOODBYES = {
  left: { title: "You have hung up", text: "The others go on without you. You can come back whenever you like.", again: "Rejoin the call" },
  replaced: {
    title: "This call is open in another tab",
    text: "There it goes on. One tab at a time can hold your place.",
    again: "Take the call here",
  },
  refused: { title: "You cannot be put through", text: "", again: "Try again" },
};

const REFUSALS = {
  [ROOM_FULL]: {
    title: "The room is full",
    text: "As many people are in it as its maker wanted. When somebody leaves, there is a place for you.",
    again: "Try again",
  },
  [GONE]: {
    title: "This room has ended",
    text: "It was empty for a while, or the server was started anew. A room of the same name can be made on the start page.",
    again: "Look again",
  },
  [LOCKED]: { title: "The password, please", text: "This room has a password, and it has to be given again.", again: "Enter the password" },
};

/** {title, text, again}: why the call is over, by the client's `why` and `text`, and the status that refused us if any. */
export function goodbye(why, text, status) {
  if (why === "refused" && REFUSALS[status]) return REFUSALS[status];
  // Not from this page, or it would need no words.
  if (why === "left" && text) return { ...GOODBYES.left, title: "You have left this call", text };
  return { ...GOODBYES[why], text: text || GOODBYES[why].text };
}

export const CANNOT_CALL = {
  title: "This browser cannot make calls",
  text: "It has no WebRTC, or it is switched off in its settings. A current Firefox, Chrome, Edge or Safari has it.",
  again: "Look again",
};
