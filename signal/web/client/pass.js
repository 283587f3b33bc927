// A pass proves to the node who one is in a room. Why one is refused is said here only: of a WebSocket that was refused
// a browser tells nothing.

const ANSWER_WITHIN = 10_000;
const UNREACHABLE = 0;
const PASSED = 201;

const REFUSALS = {
  [UNREACHABLE]: "The server cannot be reached. It is tried again.",
  401: "This room has a password, and the right one was not given.",
  403: "The server does not let this page into the room.",
  404: "There is no such room, or it has ended.",
  418: "This room is full.",
  429: "Too many attempts from this address. It is tried again in a while.",
  503: "The server is busy. It is tried again in a moment.",
};

/** What the status of an answer means for somebody who wants to enter, if it means something; 0: there was none. */
export function refusalOf(status) {
  return REFUSALS[status];
}

/**
 * Asks the node at the URL `server` for a pass to `room`. With the `token` of an older pass no password is needed, and
 * the id stays the same as long as it may come back.
 * {status, pass: {id, token}}; or why there is none: {status, text, wait}, `status` 0 when there was no answer, `wait`
 * in ms when the node says how long, else 0.
 */
export async function askForPass({ server, room, ...introduction }) {
  let response;
  let answer;
  try {
    response = await fetch(new URL(`/api/rooms/${encodeURIComponent(room)}/clients`, server), {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(introduction),
      signal: AbortSignal.timeout(ANSWER_WITHIN),
    });
    answer = await response.json().catch(() => ({}));
  } catch {
    return { status: UNREACHABLE, text: refusalOf(UNREACHABLE), wait: 0 };
  }
  const { status } = response;
  if (status === PASSED) return { status, pass: { id: answer.id, token: answer.token } };
  const text = refusalOf(status) ?? answer.message ?? `The server answered ${status}.`;
  return { status, text, wait: 1000 * Number(response.headers.get("retry-after")) || 0 };
}
