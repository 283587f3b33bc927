// This machine's camera and microphone, and what to do where there are none.

const WORDS = { audio: "microphone", video: "camera" };
const WANTED = {
  audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
  video: { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } },
};

/** {audio, video: a track or null, note: why one is missing and what to do, or ""}; asks for those of `kinds`. */
export async function openDevices(kinds = ["audio", "video"]) {
  const none = { audio: null, video: null };
  if (!navigator.mediaDevices) return { ...none, note: insecure() };
  try {
    return { ...none, ...(await open(kinds)), note: "" };
  } catch (error) {
    return kinds.length > 1 ? eachAlone(kinds, error) : { ...none, note: explain(error, kinds) };
  }
}

async function open(kinds) {
  const stream = await navigator.mediaDevices.getUserMedia(Object.fromEntries(kinds.map((kind) => [kind, WANTED[kind]])));
  return Object.fromEntries(stream.getTracks().map((track) => [track.kind, track]));
}

/** One of them may be there: a missing or forbidden camera is no reason to take the microphone away. */
async function eachAlone(kinds, error) {
  const found = { audio: null, video: null };
  const missing = [];
  for (const kind of kinds) {
    const refused = error.name === "NotAllowedError" && !(await mayStillBeAllowed(kind));
    try {
      if (refused) throw error;
      Object.assign(found, await open([kind]));
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
      return `Your browser does not let this page use your ${what}. Allow it beside the address at the top, then press the button below again. Without it you can still listen and chat.`;
    case "NotFoundError":
    case "OverconstrainedError":
      return `No ${what} was found. Plug one in and press its button below, or enter without: you can still listen and chat.`;
    case "NotReadableError":
    case "AbortError":
      return `Your ${what} cannot be opened: another program may be using it. Close that one and press the button below again.`;
    default:
      return `Your ${what} cannot be opened (${name}). You can still listen and chat.`;
  }
}
