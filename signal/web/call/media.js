// Opening this machine's camera, microphone and screen, and what to say and do where that fails.

const WORDS = { audio: "microphone", video: "camera" };
const WANTED = {
  audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
  video: { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } },
};
const SCREEN = { video: { frameRate: { ideal: 15, max: 30 } }, audio: false };

/**
 * {audio, video: a track or null, note: why one is missing and what to do, or ""}; asks for those of `kinds`: the devices
 * whose `ids` are given, by kind, and others where these are not there.
 */
export async function openDevices(kinds = ["audio", "video"], ids = {}) {
  const none = { audio: null, video: null };
  if (!navigator.mediaDevices) return { ...none, note: insecure() };
  try {
    return { ...none, ...(await open(kinds, ids)), note: "" };
  } catch (error) {
    return kinds.length > 1 ? eachAlone(kinds, ids, error) : { ...none, note: explain(error, kinds) };
  }
}

/** Phones cannot share their screen. */
export const canShareScreen = Boolean(navigator.mediaDevices?.getDisplayMedia);

/** {track, note}: the screen or window that somebody chose to share. */
export async function openScreen() {
  try {
    const [track] = (await navigator.mediaDevices.getDisplayMedia(SCREEN)).getVideoTracks();
    // Letters should stay sharp, if need be at fewer pictures a second.
    track.contentHint = "detail";
    return { track, note: "" };
  } catch ({ name, message }) {
    return { track: null, note: explainScreen(name, message) };
  }
}

async function open(kinds, ids) {
  const wishes = kinds.map((kind) => [kind, ids[kind] ? { ...WANTED[kind], deviceId: { exact: ids[kind] } } : WANTED[kind]]);
  try {
    const stream = await navigator.mediaDevices.getUserMedia(Object.fromEntries(wishes));
    return Object.fromEntries(stream.getTracks().map((track) => [track.kind, track]));
  } catch (error) {
    // The one that was asked for is not there: then any.
    const [kind] = kinds;
    if (error.name !== "OverconstrainedError" || kinds.length > 1 || !ids[kind]) throw error;
    return open(kinds, {});
  }
}

/** One of them may be there: a missing or forbidden camera is no reason to take the microphone away. */
async function eachAlone(kinds, ids, error) {
  const found = { audio: null, video: null };
  const missing = [];
  for (const kind of kinds) {
    const refused = error.name === "NotAllowedError" && !(await mayStillBeAllowed(kind));
    try {
      if (refused) throw error;
      Object.assign(found, await open([kind], ids));
    } catch (reason) {
      missing.push({ kind, reason });
    }
  }
  const same = missing.length > 1 && missing.every(({ reason }) => reason.name === missing[0].reason.name);
  const notes = same
    ? [explain(missing[0].reason, missing.map(({ kind }) => kind))]
    : missing.map(({ kind, reason }) => explain(reason, [kind]));
  return { ...found, note: notes.join(" ") };
}

/** Whoever has just said no is not asked again for each device, unless the other one has been allowed before. */
async function mayStillBeAllowed(kind) {
  try {
    return (await navigator.permissions.query({ name: WORDS[kind] })).state === "granted";
  } catch {
    return false;
  }
}

function insecure() {
  const port = location.port && `:${location.port}`;
  return (
    `Browsers give camera and microphone only to pages over https or on localhost; this one came from ${location.origin}. ` +
    `Open it over https, or on the server's own machine as http://localhost${port}${location.pathname}. ` +
    "You can enter all the same, listen and chat."
  );
}

function explain({ name }, kinds) {
  const what = kinds.map((kind) => WORDS[kind]).join(" and ");
  switch (name) {
    case "NotAllowedError":
    case "SecurityError":
      return `Your browser does not let this page use your ${what}. Allow it beside the address at the top, then press its button again. Without it you can still listen and chat.`;
    case "NotFoundError":
    case "OverconstrainedError":
      return `No ${what} was found. Plug one in and press its button, or go without: you can still listen and chat.`;
    case "NotReadableError":
    case "AbortError":
      return `Your ${what} cannot be opened: another program may be using it. Close that one and press the button again.`;
    default:
      return `Your ${what} cannot be opened (${name}). You can still listen and chat.`;
  }
}

/** Browsers do not tell whether it was a person who said no, or the system without asking. */
function explainScreen(name, message) {
  if (name === "NotAllowedError" && /system/i.test(message)) {
    return "Your system does not let this browser record the screen: allow it in the system's privacy settings, then start the browser anew.";
  }
  if (name === "NotAllowedError") return "Your screen is not shared: nothing was chosen, or the browser does not allow it.";
  if (name === "NotReadableError") return "What you chose cannot be recorded just now. Choose another window, or the whole screen.";
  return `Your screen cannot be shared (${name}).`;
}
