// What the node says about ICE servers, in the words of RTCConfiguration.

const SOONEST = 30_000;
const LATEST = 24 * 3600_000;

/** camus's `ice-servers` → RTCIceServer[]. */
export function iceServers(data) {
  return (Array.isArray(data) ? data : [])
    .filter(({ urls }) => urls?.length)
    .map(({ urls, username, credential }) => (username ? { urls, username, credential } : { urls }));
}

/**
 * How long until new credentials should be asked for, in ms: when four fifths of the time is over; null when none expire.
 * The expiry is what stands before the colon of a TURN REST user name. Bounded, as this machine's clock may be wrong.
 */
export function renewIn(servers, now = Date.now()) {
  const expiries = servers.map(({ username }) => Number.parseInt(username, 10) * 1000).filter(Number.isFinite);
  if (expiries.length === 0) return null;
  return Math.min(LATEST, Math.max(SOONEST, (Math.min(...expiries) - now) * 0.8));
}

/** From a getStats() report: "direct" or "relayed", or null while no pair of candidates is in use. */
export function route(report) {
  const all = [...report.values()];
  const chosen = all.find(({ type, selectedCandidatePairId }) => type === "transport" && selectedCandidatePairId);
  const pair = chosen
    ? report.get(chosen.selectedCandidatePairId)
    : all.find(({ type, nominated, state }) => type === "candidate-pair" && nominated && state === "succeeded");
  if (!pair) return null;
  const ends = [report.get(pair.localCandidateId), report.get(pair.remoteCandidateId)];
  return ends.some((end) => end?.candidateType === "relay") ? "relayed" : "direct";
}
