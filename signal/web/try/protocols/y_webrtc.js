// y-webrtc: topics, and what is published in them.

import { offer } from "../examples.js";
import { theOther, unique } from "./given.js";

const publish = (topic, data) => ({ type: "publish", topic, data });

export const yWebrtc = {
  name: "y-webrtc",
  title: "y-webrtc",
  about:
    "Topics: what is published in one goes to all who are subscribed to it, the publisher too. One socket may be " +
    "subscribed to many.",
  shared: [{ name: "topic", label: "Topic", value: () => "try" }],
  fields: [{ name: "peer", label: "Peer id", value: unique }],
  socket: ({ path }) => path,
  opens: ({ peer }) => ({ id: peer }),
  says: {
    subscribe: () => ({ subscribed: true }),
    unsubscribe: () => ({ subscribed: false }),
  },
  messages: [
    {
      title: "subscribe",
      note: "Not answered. From here on you hear what is published there.",
      frame: ({ topic }) => ({ type: "subscribe", topics: [topic] }),
    },
    {
      title: "publish: announce",
      note: "Every subscriber hears it, with clients, their number.",
      frame: ({ topic, peer }) => publish(topic, { type: "announce", from: peer }),
    },
    {
      title: "publish: signal",
      note: "All subscribers hear it; it is its data that says for whom it is.",
      lacks: theOther,
      frame: ({ topic, peer }, other) =>
        publish(topic, { type: "signal", from: peer, to: other.id, token: Date.now(), signal: offer }),
    },
    { title: "ping", note: "Answered by pong, at once.", frame: () => ({ type: "ping" }) },
    {
      title: "unsubscribe",
      note: "Not answered.",
      lacks: ({ subscribed }) => (subscribed ? "" : "you are subscribed"),
      frame: ({ topic }) => ({ type: "unsubscribe", topics: [topic] }),
    },
  ],
};
