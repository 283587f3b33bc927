// direct: registered names; a message names the one that it is for.

import { answer, candidate, offer } from "../examples.js";
import { any, heard, theOther, unique } from "./given.js";

export const direct = {
  name: "direct",
  title: "direct",
  about:
    "Registered names; a message names the one that it is for. A cookie proves the name, and a browser has one " +
    "jar: the two peers register and connect one after the other here, as the cookie is read only when the socket " +
    "is opened.",
  shared: [],
  fields: [{ name: "username", label: "Name", value: unique }],
  requests: [
    {
      method: "POST",
      path: () => "/v1/register",
      body: ({ username }) => ({ username }),
      gives: [],
      cookies: true,
      // Who has this name's cookie already may go on.
      refused: ({ status, message }, { username }) =>
        status === "SUCCESS" || document.cookie.split("; ").includes(`user_username=${username}`)
          ? ""
          : `${status}: ${message}. Take another name.`,
    },
  ],
  socket: ({ path }) => path,
  opens: ({ username }) => ({ id: username }),
  closes: {
    UNAUTHENTICATED: "the cookies prove no registered name",
    ALREADY_EXISTS: "this name is connected already, and that connection answers",
  },
  hears: {
    offer: ({ originator }) => ({ offer: originator }),
  },
  messages: [
    {
      title: "offer",
      note: "The other hears it, with its originator. A type may be any word.",
      lacks: theOther,
      frame: (_, other) => ({ target: other.id, type: "offer", payload: offer }),
    },
    {
      title: "answer",
      note: "To whoever made the offer.",
      lacks: heard("offer"),
      frame: (known) => ({ target: known.offer, type: "answer", payload: answer }),
    },
    {
      title: "candidate",
      note: "Messages from one to another keep their order.",
      lacks: theOther,
      frame: (_, other) => ({ target: other.id, type: "candidate", payload: candidate }),
    },
    {
      title: "to nobody",
      note: "Answered by TARGET_NOT_FOUND.",
      frame: () => ({ target: `nobody-${any}`, type: "offer", payload: offer }),
    },
    {
      title: "without a target",
      note: "Answered by INVALID_MESSAGE, which says why.",
      frame: () => ({ type: "offer", payload: offer }),
    },
  ],
};
