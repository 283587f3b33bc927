// An app that uses all of the client module, for the compiler only.
import {
  Client,
  type ClientEventMap,
  type ClientOptions,
  type ClientState,
  type Line,
  type Member,
  type Message,
  type Pass,
  type Path,
  type Peer,
  type PeerEventMap,
  type Problem,
  ROOM,
  SERVER,
  type StateChange,
  type TrackKind,
} from "http://localhost:8080/client.js";

const room: ClientOptions = { room: "tea", username: "Ada", password: "sesame", server: "https://call.example.org", keep: false };
const call = new Client({ ...room, iceTransportPolicy: "relay" });
const passes: Pass[] = [{ id: "0".repeat(32), token: "…" }];
new Client({ room: "tea", passes, locked: true, resumed: true });

function peerCame(peer: Peer): void {
  const video = document.createElement("video");
  video.srcObject = peer.stream;
  const screen: MediaStream | null = peer.screen;
  const path: Path = peer.path;
  const level: number = peer.sound.on ? peer.sound.level : 0;
  const silent: boolean = !peer.receives.audio && !peer.receives.video;
  const state: RTCPeerConnectionState = peer.connection.connectionState;
  console.log(peer.id, peer.username, screen?.id, path, level, silent, state);
  const types: (keyof PeerEventMap)[] = ["stream", "path", "name", "failed", "gone"];
  for (const type of types) peer.addEventListener(type, function () { console.log(this.username); }, { once: true });
}

call.addEventListener("peer", ({ detail }) => peerCame(detail));
call.addEventListener("gone", ({ detail: { username } }) => console.log(username));
call.addEventListener("state", ({ detail: { state, why, text } }: CustomEvent<StateChange>) => console.log(state, why, text));
call.addEventListener("id", ({ detail: { id } }) => console.log(id.length));
call.addEventListener("pass", ({ detail: { id, token } }) => sessionStorage.setItem(id, token));
call.addEventListener("roster", ({ detail: { clients } }) => console.log(clients.map((member: Member) => member.username)));
call.addEventListener("warning", ({ detail: { text } }) => console.warn(text));
const problemMet = ({ detail: { status, text, final } }: CustomEvent<Problem>): void => console.log(status + 1, text, !final);
call.addEventListener("problem", problemMet);
call.removeEventListener("problem", problemMet);
const lineSaid = ({ sender, from, time, text, own, pending }: Line): void =>
  console.log(sender, from, new Date(time), text, own && pending);
call.addEventListener("text", ({ detail }) => lineSaid(detail));
const messageCame = ({ sender, receiver, type, data }: Message): boolean => call.send(sender, type, { receiver, data });
call.addEventListener("message", ({ detail }) => messageCame(detail));
const event: ClientEventMap["text"]["detail"]["text"] = "a string";

const kinds: TrackKind[] = ["audio", "video", "screen"];
for (const kind of kinds) call.setTrack(kind, null);
call.connect();
call.rename("Augusta");
call.say(event);
call.send(ROOM, "move", { from: "e2", to: "e4" });
call.send(SERVER, "ping");
const state: ClientState = call.state;
const id: string | null = call.id;
const pass: Pass | undefined = call.pass;
console.log(state, id, pass?.token, call.username, call.roster[0]?.id, [...call.peers.values()].length);
call.leave();

// What is wrong is found.
// @ts-expect-error a room is needed
new Client({ username: "Ada" });
// @ts-expect-error no such kind
call.setTrack("sound", null);
// @ts-expect-error renaming is a method
call.username = "Augusta";
// @ts-expect-error a peer has no such event
call.addEventListener("peer", ({ detail }) => detail.nothing);
// @ts-expect-error what came may be anything
call.addEventListener("message", ({ detail }) => detail.data.from);
// @ts-expect-error an id may not be there yet
call.send(call.id, "move");
