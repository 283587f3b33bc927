// The page of the video-call app whose users register a name, and call each other by it.

/** In a page of the node: registers `username` if need be, and is there to be called; `ring(target)` calls. */
export async function connects(username) {
  const { phone } = window;
  const known = await fetch('/v1/user');
  if (!known.ok) {
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch('/v1/register', { method: 'POST', headers, body: JSON.stringify({ username }) });
    const { status, message } = await answer.json();
    if (status !== 'SUCCESS') throw new Error(`${username} is ${status}: ${message}`);
  }

  const camera = await phone.camera();
  let connection;
  const say = (target, type, payload) => socket.send(JSON.stringify({ target, type, payload }));
  const connect = (other) => (connection = phone.connect(camera, (candidate) => say(other, 'candidate', candidate)));
  const url = new URL('/v1/connect', location);
  url.protocol = 'ws';
  const socket = await phone.dial(url, {
    async offer({ originator, payload }) {
      say(originator, 'answer', await phone.answer(connect(originator), payload));
    },
    answer: ({ payload }) => connection.setRemoteDescription(payload),
    candidate: ({ payload }) => connection.addIceCandidate(payload),
  });
  window.ring = async (target) => say(target, 'offer', await phone.offer(connect(target)));
}
