// mesh: one lobby for everybody who connects.

import { answer, candidate, offer } from "../examples.js";
import { any, heard, username } from "./given.js";

const toUser = ({ peer }, other) => other.id ?? peer;
const aUser = (known, other) => (toUser(known, other) ? "" : "the other peer has said CONFIRM_ID");

export const mesh = {
  name: "mesh",
  title: "mesh",
  about:
    "One lobby for everybody who connects. The server makes the ids, and says of each message which user it is from.",
  shared: [],
  fields: [username],
  socket: ({ path }) => path,
  hears: {
    CONFIRM_ID: ({ payload }) => ({ id: payload.user.id }),
    JOIN: ({ payload }) => ({ peer: payload.user.id }),
    OFFER: ({ payload }) => ({ OFFER: payload.user.id }),
  },
  messages: [
    {
      title: "CONFIRM_ID",
      note: "Answered by CONFIRM_ID: who you are, by the server.",
      frame: ({ username }) => ({ type: "CONFIRM_ID", payload: { name: username } }),
    },
    { title: "JOIN", note: "Everybody else hears that you are there.", frame: () => ({ type: "JOIN", payload: {} }) },
    {
      title: "CLIENTS",
      note: "Answered by CLIENTS: everybody who is there.",
      frame: () => ({ type: "CLIENTS", payload: {} }),
    },
    {
      title: "OFFER",
      note: "The target hears it, with you as its user.",
      lacks: aUser,
      frame: (known, other) => ({ type: "OFFER", target: { id: toUser(known, other) }, payload: { offer } }),
    },
    {
      title: "ANSWER",
      note: "To whoever made the offer.",
      lacks: heard("OFFER"),
      frame: (known) => ({ type: "ANSWER", target: { id: known.OFFER }, payload: { answer } }),
    },
    {
      title: "CANDIDATE",
      note: "Messages from one to another keep their order.",
      lacks: aUser,
      frame: (known, other) => ({ type: "CANDIDATE", target: { id: toUser(known, other) }, payload: { candidate } }),
    },
    {
      title: "OFFER to nobody",
      note: "Answered by CLIENTS, with the one that has gone.",
      frame: () => ({ type: "OFFER", target: { id: `nobody-${any}` }, payload: { offer } }),
    },
    {
      title: "WHATEVER",
      note: "A type that nobody handles is answered by ERROR. The socket stays open.",
      frame: () => ({ type: "WHATEVER", payload: {} }),
    },
  ],
};
