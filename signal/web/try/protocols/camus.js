// camus: rooms, a roster, messages to one or to all; and the same with a subprotocol.

import { answer, candidate, offer } from "../examples.js";
import { any, heard, theOther, username } from "./given.js";

const SERVER = "ground control";
const to = (receiver, type, data) => ({ receiver, type, data });

export const camus = {
  name: "camus",
  title: "camus",
  about:
    "Rooms, a roster, and messages to one or to all. A client gets an id and a token by HTTP and brings the token " +
    "along. Whoever closes and connects again is the same client, and gets what was held meanwhile.",
  shared: [{ name: "room", label: "Room", value: () => "try" }],
  fields: [username],
  keeps: ["token"],
  requests: [
    {
      method: "POST",
      path: ({ room }) => `/api/rooms/${encodeURIComponent(room)}/clients`,
      body: ({ username, token }) => ({ username, token }),
      gives: ["id", "token"],
    },
  ],
  socket: ({ path, room, token }) => `${path.replace("{name}", encodeURIComponent(room))}?token=${token}`,
  hears: {
    pong: ({ receiver }) => ({ id: receiver }),
    ping: ({ data }) => ({ ping: data }),
    offer: ({ sender }) => ({ offer: sender }),
  },
  says: {
    bye: ({ receiver }) => (receiver === SERVER ? { token: undefined } : {}),
  },
  messages: [
    {
      title: "ping",
      note: "Answered by a pong with the same data. Its receiver is your own id.",
      frame: () => to(SERVER, "ping", Date.now()),
    },
    {
      title: "get-room-info",
      note: "Answered by room-info: who is here. The first time, the others hear one too.",
      frame: () => to(SERVER, "get-room-info"),
    },
    {
      title: "get-ice-servers",
      note: "Answered by ice-servers, with TURN credentials where the node has any.",
      frame: () => to(SERVER, "get-ice-servers"),
    },
    {
      title: "profile",
      note: "Changes your name. Everybody hears a room-info.",
      frame: ({ username }) => to(SERVER, "profile", { username }),
    },
    {
      title: "text to the room",
      note: "Everybody here hears it, you too.",
      frame: ({ username }) => to("room", "text", { from: username, time: Date.now(), text: "Hello!" }),
    },
    {
      title: "text to the other",
      note: "Only they hear it. While they are away it is held for them.",
      lacks: theOther,
      frame: ({ username }, other) => to(other.id, "text", { from: username, time: Date.now(), text: "Hello, you." }),
    },
    {
      title: "offer",
      note: "Goes to the other. The sender is what the server says, whatever you write.",
      lacks: theOther,
      frame: (_, other) => to(other.id, "offer", offer),
    },
    {
      title: "answer",
      note: "To whoever made the offer.",
      lacks: heard("offer"),
      frame: (known) => to(known.offer, "answer", answer),
    },
    {
      title: "icecandidate",
      note: "Messages from one to another keep their order.",
      lacks: theOther,
      frame: (_, other) => to(other.id, "icecandidate", candidate),
    },
    {
      title: "pong",
      note: "The answer to the server's ping: a sign of life.",
      lacks: heard("ping"),
      frame: (known) => to(SERVER, "pong", known.ping),
    },
    {
      title: "to nobody",
      note: "Answered by an error: no such peer.",
      frame: () => to("0".repeat(32), "text", "Is anybody there?"),
    },
    {
      title: "bye",
      note: "You leave the room; the others hear it; the socket is closed with 1000.",
      frame: () => to(SERVER, "bye", Date.now()),
    },
  ],
};

export const v1 = {
  ...camus,
  title: "camus with switchboard.v1",
  about:
    "The same with a subprotocol: the node says what became of each message that has an id, and nothing is heard " +
    "twice. Say a message again with the same id: it does nothing but be accepted once more.",
  subprotocol: "switchboard.v1",
  hears: { ...camus.hears, session: ({ data, receiver }) => ({ token: data.token, id: receiver }) },
  messages: camus.messages.map((message) => ({
    ...message,
    frame: (known, other) => ({ id: `${any}-${known.sent + 1}`, ...message.frame(known, other) }),
  })),
};
