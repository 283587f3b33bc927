// The pages of the screen-sharing app: a host, who allows everybody to share, and its users.

/** In the page: opens a room, whose id is what is returned. */
export async function hosts({ url, username }) {
  const { phone } = window;
  const sharing = new Map();
  const say = (type, more) => socket.send(JSON.stringify({ type, ...more }));
  const created = Promise.withResolvers();
  const socket = await phone.dial(url, {
    ROOM_CREATED: ({ roomid }) => created.resolve(roomid),
    REQUEST_SHARING: ({ username }) => say('ALLOW_SHARING', { username }),
    async RCP_OFFER({ username, sdp }) {
      const connection = phone.connect(null, (candidate) => say('ICE_CANDIDATE', { username, candidate }));
      sharing.set(username, connection);
      const answer = await phone.answer(connection, { type: 'offer', sdp });
      say('RCP_ANSWER', { username, sdp: answer.sdp });
    },
    ICE_CANDIDATE: ({ username, candidate }) => sharing.get(username).addIceCandidate(candidate),
    STOP_SHARING: ({ username }) => sharing.get(username).close(),
  });
  say('CREATE_ROOM', { username });
  return created.promise;
}

/** In the page: joins `roomid`; `share()` and `stop()` are its buttons. */
export async function joins({ url, username, roomid }) {
  const { phone } = window;
  let connection;
  let screen;
  const say = (type, more) => socket.send(JSON.stringify({ type, ...more }));
  const joined = Promise.withResolvers();
  const socket = await phone.dial(url, {
    ROOM_JOINED: joined.resolve,
    async ALLOW_SHARING() {
      connection = phone.connect(screen, (candidate) => say('ICE_CANDIDATE', { candidate }));
      const { sdp } = await phone.offer(connection);
      say('RCP_OFFER', { sdp });
    },
    RCP_ANSWER: ({ sdp }) => connection.setRemoteDescription({ type: 'answer', sdp }),
    ICE_CANDIDATE: ({ candidate }) => connection.addIceCandidate(candidate),
    STOP_SHARING: () => connection.close(),
  });
  window.share = async () => {
    screen = await navigator.mediaDevices.getDisplayMedia({ video: true });
    say('REQUEST_SHARING');
  };
  window.stop = () => {
    say('STOP_SHARING');
    connection.close();
  };
  say('JOIN_ROOM', { roomid, username });
  await joined.promise;
}
