// share: a host with a room, and users who ask it to let them share their screen.

import { answer, candidate, offer } from "../examples.js";
import { heard, username } from "./given.js";

const asHost = ({ role }) => (role === "host" ? "" : "you have a room of your own");
const asUser = ({ role }) => (role === "user" ? "" : "you have joined a room");
const inRoom = ({ role }) => (role ? "" : "you are in a room");
const guest = (known) => asHost(known) || (known.guest ? "" : "somebody has joined your room");

export const share = {
  name: "share",
  title: "share",
  about:
    "A host opens a room, and users ask it to let them share their screen. What a user says goes to the host; " +
    "what the host says names its user.",
  shared: [],
  fields: [username],
  socket: ({ path }) => path,
  hears: {
    ROOM_CREATED: ({ roomid }) => ({ room: roomid, role: "host", guest: undefined }),
    ROOM_JOINED: ({ roomid }) => ({ room: roomid, role: "user" }),
    USER_LEFT: () => ({ guest: undefined, RCP_OFFER: undefined }),
    LEFT_ROOM: () => ({ room: undefined, role: undefined, ALLOW_SHARING: undefined }),
    USER_JOINED: ({ username }) => ({ guest: username }),
    ALLOW_SHARING: () => ({ ALLOW_SHARING: true }),
    RCP_OFFER: ({ username }) => ({ RCP_OFFER: username }),
  },
  messages: [
    {
      title: "CREATE_ROOM",
      note: "Answered by ROOM_CREATED, with the room's id. You are its host.",
      frame: ({ username }) => ({ type: "CREATE_ROOM", username }),
    },
    {
      title: "JOIN_ROOM",
      note: "Answered by ROOM_JOINED; the host hears USER_JOINED.",
      lacks: (_, other) => (other.role === "host" ? "" : "the other peer has a room"),
      frame: ({ username }, other) => ({ type: "JOIN_ROOM", roomid: other.room, username }),
    },
    {
      title: "REQUEST_SHARING",
      note: "The host hears it, with your name.",
      lacks: asUser,
      frame: () => ({ type: "REQUEST_SHARING" }),
    },
    {
      title: "ALLOW_SHARING",
      note: "That user hears it.",
      lacks: guest,
      frame: ({ guest }) => ({ type: "ALLOW_SHARING", username: guest }),
    },
    {
      title: "RCP_OFFER",
      note: "The host hears it, with your name.",
      lacks: (known) => asUser(known) || heard("ALLOW_SHARING")(known),
      frame: () => ({ type: "RCP_OFFER", sdp: offer }),
    },
    {
      title: "RCP_ANSWER",
      note: "That user hears it.",
      lacks: (known) => guest(known) || heard("RCP_OFFER")(known),
      frame: (known) => ({ type: "RCP_ANSWER", username: known.RCP_OFFER, sdp: answer }),
    },
    {
      title: "ICE_CANDIDATE to the host",
      note: "The host hears it, with your name.",
      lacks: asUser,
      frame: () => ({ type: "ICE_CANDIDATE", candidate }),
    },
    {
      title: "ICE_CANDIDATE to a user",
      note: "That user hears it.",
      lacks: guest,
      frame: ({ guest }) => ({ type: "ICE_CANDIDATE", username: guest, candidate }),
    },
    {
      title: "STOP_SHARING",
      note: "From a user, the host hears it; from the host, every user.",
      lacks: inRoom,
      frame: () => ({ type: "STOP_SHARING" }),
    },
    {
      title: "LEAVE_ROOM",
      note: "Always answered by LEFT_ROOM. When the host leaves, its users hear that the room has ended.",
      frame: () => ({ type: "LEAVE_ROOM" }),
    },
  ],
};
