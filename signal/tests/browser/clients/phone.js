// What the pages of all originals need: a line, what was heard on it, and connections with media.

/** In the page. */
export function phone() {
  const heard = [];
  const connections = [];
  const description = async (connection) => {
    await connection.setLocalDescription();
    return connection.localDescription.toJSON();
  };
  window.phone = {
    heard,

    /** A socket that is open; what it hears of a type that is among `acts` is acted on. */
    dial(url, acts) {
      const socket = new WebSocket(url);
      socket.onmessage = ({ data }) => {
        const message = JSON.parse(data);
        heard.push(message);
        acts[message.type]?.(message);
      };
      return new Promise((resolve, reject) => {
        socket.onopen = () => resolve(socket);
        socket.onclose = ({ code, reason }) => {
          heard.push({ type: 'closed', code });
          reject(new Error(`closed with ${code} ${reason}`));
        };
      });
    },

    /** A connection that shows `stream`, if there is one, and says its candidates. */
    connect(stream, sayCandidate) {
      const connection = new RTCPeerConnection();
      connections.push(connection);
      connection.onicecandidate = ({ candidate }) => candidate && sayCandidate(candidate.toJSON());
      for (const track of stream?.getTracks() ?? []) connection.addTrack(track, stream);
      return connection;
    },

    offer: description,

    /** Candidates that come right after `offer` are the connection's own to put in order: it knows of the offer at once. */
    async answer(connection, offer) {
      await connection.setRemoteDescription(offer);
      return description(connection);
    },

    camera: () => navigator.mediaDevices.getUserMedia({ video: true, audio: true }),

    /** How much has come of `kind` through the newest connection: frames that were shown, or packets of sound. */
    async received(kind) {
      const report = await connections.at(-1).getStats();
      const inbound = [...report.values()].find((entry) => entry.type === 'inbound-rtp' && entry.kind === kind);
      return (kind === 'video' ? inbound?.framesDecoded : inbound?.packetsReceived) ?? 0;
    },
  };
}
