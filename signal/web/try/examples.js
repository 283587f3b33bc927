// A description and a candidate as a browser makes them: well-formed, and nobody's.

const sdp = (setup) =>
  [
    "v=0",
    "o=- 4611731400430051336 2 IN IP4 127.0.0.1",
    "s=-",
    "t=0 0",
    "a=group:BUNDLE 0",
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
    "c=IN IP4 0.0.0.0",
    "a=ice-ufrag:Zx1t",
    "a=ice-pwd:2gT5mXr8vQ1kLw7bYc4hNf9j",
    `a=fingerprint:sha-256 ${Array(32).fill("5A").join(":")}`,
    `a=setup:${setup}`,
    "a=mid:0",
    "a=sctp-port:5000",
    "",
  ].join("\r\n");

export const offer = { type: "offer", sdp: sdp("actpass") };
export const answer = { type: "answer", sdp: sdp("active") };
export const candidate = {
  candidate: "candidate:1 1 udp 2113937151 192.0.2.7 54321 typ host generation 0 ufrag Zx1t",
  sdpMid: "0",
  sdpMLineIndex: 0,
  usernameFragment: "Zx1t",
};
