// The page of the sandbox: whoever joins the lobby is called by everybody who is in it.

/** In the page: is in the lobby under `name`, and knows its own id. */
export async function enters({ url, name }) {
  const { phone } = window;
  const camera = await phone.camera();
  const connections = new Map();
  const say = (type, payload = {}, target = undefined) => socket.send(JSON.stringify({ type, payload, target }));
  const connect = ({ id }) => {
    const connection = phone.connect(camera, (candidate) => say('CANDIDATE', { candidate }, { id }));
    connections.set(id, connection);
    return connection;
  };
  const confirmed = Promise.withResolvers();
  const socket = await phone.dial(url, {
    CONFIRM_ID({ payload: { user } }) {
      say('JOIN');
      confirmed.resolve(user.id);
    },
    async JOIN({ payload: { user } }) {
      say('OFFER', { offer: await phone.offer(connect(user)) }, user);
    },
    async OFFER({ payload: { user, offer } }) {
      say('ANSWER', { answer: await phone.answer(connect(user), offer) }, user);
    },
    ANSWER: ({ payload: { user, answer } }) => connections.get(user.id).setRemoteDescription(answer),
    CANDIDATE: ({ payload: { user, candidate } }) => connections.get(user.id).addIceCandidate(candidate),
  });
  say('CONFIRM_ID', { name });
  return confirmed.promise;
}
