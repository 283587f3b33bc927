// peerjs: names, and messages from one name to another.

import { answer, candidate, offer } from "../examples.js";
import { any, heard, theOther, unique } from "./given.js";

const dst = (type, name, payload) => ({ type, dst: name, payload });
const data = (known) => ({ type: "data", connectionId: known.connection ?? `dc_${any}` });

export const peerjs = {
  name: "peerjs",
  title: "peerjs",
  about:
    "Names, and messages from one name to another, as the PeerJS client speaks it. The token is a secret of the " +
    "client's own: with the same one it takes its name over from an older connection.",
  shared: [],
  fields: [
    { name: "id", label: "Name", value: unique },
    { name: "token", label: "Token", value: () => Math.random().toString(36).slice(2, 12) },
  ],
  socket: ({ path, key, id, token }) => `${path}?${new URLSearchParams({ key, id, token })}`,
  hears: {
    OFFER: ({ src, payload }) => ({ OFFER: src, connection: payload?.connectionId }),
  },
  messages: [
    { title: "HEARTBEAT", note: "A sign of life. Not answered.", frame: () => ({ type: "HEARTBEAT" }) },
    {
      title: "OFFER",
      note: "Goes to the other with src, your name. If nobody has the name it waits, and the other hears it when it connects in time.",
      lacks: theOther,
      frame: (known, other) =>
        dst("OFFER", other.id, { sdp: offer, ...data(known), label: "chat", reliable: true, serialization: "binary" }),
    },
    {
      title: "ANSWER",
      note: "To whoever made the offer.",
      lacks: heard("OFFER"),
      frame: (known) => dst("ANSWER", known.OFFER, { sdp: answer, ...data(known) }),
    },
    {
      title: "CANDIDATE",
      note: "Must not overtake the answer, and does not.",
      lacks: theOther,
      frame: (known, other) => dst("CANDIDATE", other.id, { candidate, ...data(known) }),
    },
    {
      title: "OFFER to nobody",
      note: "Waits for the name. When nobody has come for it, you hear one EXPIRE.",
      frame: (known) => dst("OFFER", `nobody-${any}`, { sdp: offer, ...data(known) }),
    },
    {
      title: "LEAVE to the other",
      note: "Their client closes its connections with you.",
      lacks: theOther,
      frame: (_, other) => dst("LEAVE", other.id),
    },
    {
      title: "LEAVE",
      note: "Gives up your name. The socket stays open, and nothing is heard on it any more.",
      frame: () => ({ type: "LEAVE" }),
    },
  ],
};
