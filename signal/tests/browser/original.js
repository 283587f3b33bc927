// What the original web client says and does on the wire, in as few lines as it takes.

/**
 * In a page of the node: enters `room`, calls whoever is there, and returns its id; `received()` are the tracks that come.
 * Its id comes after `other`, who therefore gives way if both make an offer at once: Chromium, rolling back a first offer,
 * may gather no candidates any more, and this client does nothing about that.
 */
export async function enterAsOriginal({ room, other }) {
  const server = 'ground control';
  const getIn = async () => (await fetch(`/api/rooms/${room}/clients`, { method: 'POST' })).json();
  let { id, token } = await getIn();
  for (let tries = 0; id < other && tries < 10_000; tries += 1) ({ id, token } = await getIn());
  const url = new URL(`/room/${room}/ws?token=${token}`, location);
  url.protocol = 'ws';
  const socket = new WebSocket(url);
  await new Promise((resolve) => (socket.onopen = resolve));
  const say = (receiver, type, data) => socket.send(JSON.stringify({ receiver, type, data }));

  let connection;
  const streams = new Map();
  const canvas = Object.assign(document.createElement('canvas'), { width: 320, height: 240 });
  setInterval(() => canvas.getContext('2d').fillRect(Math.random() * 300, Math.random() * 200, 20, 20), 50);
  const own = canvas.captureStream(20).getVideoTracks()[0];

  const connect = (peer) => {
    let making = false;
    connection = new RTCPeerConnection();
    connection.ontrack = ({ track, streams: [stream] }) => streams.set(track.id, stream?.id);
    connection.onicecandidate = ({ candidate }) => candidate && say(peer, 'icecandidate', candidate.toJSON());
    connection.onnegotiationneeded = async () => {
      try {
        making = true;
        const offer = await connection.createOffer();
        if (connection.signalingState !== 'stable') return;
        await connection.setLocalDescription(offer);
        say(peer, 'offer', connection.localDescription.toJSON());
      } finally {
        making = false;
      }
    };
    connection.offered = async (offer) => {
      const collision = making || connection.signalingState !== 'stable';
      if (collision && id > peer) return;
      const rollback = collision && connection.setLocalDescription({ type: 'rollback' });
      await Promise.all([rollback, connection.setRemoteDescription(offer)]);
      await connection.setLocalDescription(await connection.createAnswer());
      say(peer, 'answer', connection.localDescription.toJSON());
    };
    connection.addTrack(own);
  };

  socket.onmessage = async ({ data: frame }) => {
    const { sender, type, data } = JSON.parse(frame);
    if (type === 'ping') say(sender, 'pong', data);
    if (type === 'room-info') {
      const other = data.clients.find((client) => client.id !== id);
      if (other && !connection) connect(other.id);
    }
    if (type === 'offer') await connection.offered(data);
    if (type === 'answer') await connection.setRemoteDescription(data);
    if (type === 'icecandidate') await connection.addIceCandidate(data).catch(() => {});
  };
  say(server, 'ping', Date.now());
  say(server, 'get-room-info');

  window.received = () =>
    connection
      .getTransceivers()
      .filter(({ currentDirection }) => currentDirection?.includes('recv'))
      .map(({ receiver }) => ({ stream: streams.get(receiver.track.id) }));
  return id;
}
