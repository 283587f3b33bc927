// The protocols that can be tried, one file each; a node offers those that it speaks.
//
// A protocol has
//   name                 as the node calls it,
//   title, about         what a visitor reads,
//   shared, fields       what is filled in, once for both peers or by each: [{name, label, value(side)}],
//   requests             made before the WebSocket: [{method, path, body, gives, refused, cookies}]; the members of the answer
//                        that it `gives` are known from then on, and `refused` says why one cannot go on,
//   socket, subprotocol  the WebSocket's address, and what it asks for,
//   keeps                what is still known when one connects again,
//   opens, hears, says   what is known from then on: when the socket is open, and by the type of a frame,
//   closes               what the reason of a close means, where that does not say it,
//   messages             what may be said: [{title, note, frame, lacks}]; `lacks` says what has to be so first.
//
// Its functions get what one peer knows: its words as they are filled in, `path` and `key` (where the node speaks the
// protocol), `sent` (frames so far), and what it has learned. Those of a message get what the other peer knows, too.

import { camus, v1 } from "./protocols/camus.js";
import { direct } from "./protocols/direct.js";
import { mesh } from "./protocols/mesh.js";
import { peerjs } from "./protocols/peerjs.js";
import { share } from "./protocols/share.js";
import { yWebrtc } from "./protocols/y_webrtc.js";

export const protocols = [camus, v1, peerjs, share, direct, mesh, yWebrtc];
