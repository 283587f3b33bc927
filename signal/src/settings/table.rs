//! The table of all settings: the only home of their names, defaults and explanations.

use house::settings::{ANY_SPAN, COUNT, Item, Kind, Program, SPAN, Setting, row, seconds};

use super::node_address::NODE_ADDRESS;
use super::peerjs_place::{PEERJS_KEY, PEERJS_PATH};
use super::redis_url::REDIS_URL;

/// The program of a node.
pub const NODE: Program = Program {
    name: "signal",
    version: env!("CARGO_PKG_VERSION"),
    about: "A WebRTC signaling node: rooms, rosters, offers, answers, candidates and TURN credentials.

Without any settings it runs alone, in memory, and says where its page is. With `redis.url` \
it is one of any number of nodes behind any load balancer.",
    examples: "  signal --listen 127.0.0.1:8080
  signal --redis.url redis://127.0.0.1:6379 --session.secret_file /run/secrets/session
  signal config --defaults > signal.toml
  signal config --check signal.toml",
    running: "a node",
    table: TABLE,
};

const MIB: u64 = 1 << 20;
const SIZE: Kind = Kind::Size(1024..=1024 * MIB);
/// As long as the key of an HMAC-SHA256 should be.
const KEY: Kind = Kind::Secret(32);

#[rustfmt::skip]
const TABLE: &[Setting] = &[
    row("listen", "0.0.0.0:8080", Kind::Address, "Where clients reach this node: pages, rooms, WebSockets."),
    row("web", "", Kind::Directory, "Serve the pages from this directory, not those compiled in: for working on them."),
    row("log", "info", Kind::Filter, "What is logged, on standard error: a level, or levels per part (`info,signal=debug`)."),
    row("threads", "0", Kind::Count(0..=1024), "How many threads do the work; 0: one for each processor. With fewer, less is handed from one to another: 1 where nodes share their processors with each other or with a Redis."),
    row("max_message_bytes", "256KiB", Kind::Size(1024..=16 * MIB), "The longest message that a client may send; a longer one ends its connection."),
    row("trusted_proxies", "", Kind::List(Item::Net), "Load balancers in front of this node, whose X-Forwarded-For is believed."),
    row("origins", "", Kind::List(Item::Origin), "Pages of other hosts that may use this node; with none: this host where a cookie is the proof, else any."),

    row("tls.cert", "", Kind::File, "The certificate, with those that it rests on (PEM), to speak TLS on `listen`; without one the node leaves that to a load balancer."),
    row("tls.key", "", Kind::File, "The certificate's private key (PEM)."),
    row("tls.reload", "10s", SPAN, "How often the two are looked into: a new pair is shown from then on, without a restart."),

    row("ops.listen", "127.0.0.1:9091", Kind::Address, "Where operators reach this node: /live, /ready, /metrics."),
    row("ops.token", "", Kind::Secret(16), "What an operator shows to send all users of direct away (Authorization: Bearer); without it nobody can."),

    row("redis.url", "", Kind::Own(&REDIS_URL), "The Redis through which nodes are one cluster (`redis://`, or `rediss://` with TLS), or the Sentinels that know which one it is: `redis+sentinel://:password@host:26379,host:26379/master?sentinel_password=…`, `rediss+sentinel://` with TLS to both; the first password is the Redis's. Without it a node is alone, in memory. `redis+cluster://` is not supported yet."),
    row("redis.tls_ca", "", Kind::File, "Authorities (PEM), one of which vouches for a Redis with TLS, and for its Sentinels; without it, those of the web."),
    row("redis.tls_cert", "", Kind::File, "The certificate (PEM) that this node shows to a Redis with TLS, and to its Sentinels, if they want one (tls-auth-clients)."),
    row("redis.tls_key", "", Kind::File, "The certificate's private key (PEM)."),
    row("redis.lease", "10s", seconds(1..=300), "How long a node that says nothing is believed to live, the same on all nodes: after that others take over its peers. One that is cut off stops taking clients a little sooner."),

    row("node.name", "", Kind::Name, "This node's name for people; without one it is the host's, and a random part is always added."),
    row("node.address", "", Kind::Own(&NODE_ADDRESS), "Where other nodes reach this node's ops.listen, by which one that is cut off from Redis learns whether they are; without it a node that is cut off stays ready."),

    row("ice.stun", "stun:stun.l.google.com:19302", Kind::List(Item::Stun), "STUN servers, by which peers learn their own addresses."),

    row("turn.urls", "", Kind::List(Item::Turn), "TURN servers, which relay calls that cannot go direct."),
    row("turn.secret", "", Kind::Secret(1), "What signs TURN credentials: the servers' own (coturn: static-auth-secret). Needed with turn.urls."),
    row("turn.auth_url", "", Kind::Service, "Ask this service (turn-auth, or another TURN REST API) for TURN servers and credentials instead of signing them here. While it is away peers are told of STUN alone."),
    row("turn.auth_key", "", Kind::Secret(1), "The API key that it wants."),
    row("turn.ttl", "6h", seconds(60..=7 * 86_400), "How long TURN credentials may be used to begin a relayed call."),

    row("rooms.create_on_entry", "true", Kind::Switch, "Whether entering a room that does not exist makes it."),
    row("rooms.empty_for", "300s", ANY_SPAN, "A room that was empty and silent for so long is removed."),
    row("rooms.max_members", "1000", COUNT, "The most peers in one room, whatever its own limit."),
    row("rooms.roster_interval", "50ms", ANY_SPAN, "A room is told who is in it once in this time at most; who asks is answered at once."),
    row("rooms.roster_bytes_per_second", "1MiB", SIZE, "A large room is told so rarely that its rosters are not more bytes a second than this."),

    row("session.secret", "", KEY, "What signs cookies, tokens and the frames between nodes: 32 bytes or more, the same on all nodes. Needed with redis.url; without Redis a random one is made at each start."),
    row("session.previous_secret", "", KEY, "What signed until session.secret was changed: still believed, signs nothing."),
    row("session.ttl", "12h", SPAN, "How long a cookie or a token is good for."),

    row("drain.wait", "5s", ANY_SPAN, "When told to stop: how long to be not ready, and still serve, until load balancers have noticed."),
    row("drain.spread", "30s", ANY_SPAN, "Then: over how long the clients are sent to other nodes, each at a moment of its own."),

    row("camus.ping_after", "30s", SPAN, "A client that was silent for so long is asked whether it is still there."),
    row("camus.grace", "90s", SPAN, "A client that went away keeps its place and its messages for so long."),
    row("camus.static", "", Kind::Directory, "A directory of Camus's own pages to serve in place of ours."),
    row("camus.guest_limit", "100", Kind::Count(0..=u32::MAX as u64), "The most guests in a room whose maker names no limit; 0 for no limit."),

    row("peerjs.path", "/", Kind::Own(&PEERJS_PATH), "The path that PeerJS clients name."),
    row("peerjs.key", "peerjs", Kind::Own(&PEERJS_KEY), "The key that they name, which is a part of their paths: no secret."),
    row("peerjs.discovery", "false", Kind::Switch, "Whether anybody may ask for the ids of all who are connected."),
    row("peerjs.alive_timeout", "60s", SPAN, "A client that was silent for so long is sent away, and its id is free."),
    row("peerjs.expire_timeout", "5s", SPAN, "A message waits for so long for an id that nobody has; then its sender is told."),
    row("peerjs.concurrent_limit", "5000", COUNT, "The most clients with an id on this node."),
    row("direct.registration", "720h", SPAN, "How long a name of direct is its user's after that one was last seen."),
    row("direct.trust_name", "false", Kind::Switch, "Whether the name in a cookie is believed without the proof beside it, as the original server did."),

    row("mesh.at_root", "false", Kind::Switch, "Whether the WebSocket of mesh is at / too, where its original server stood; the page stays there for browsers."),

    row("socket.ping_interval", "30s", SPAN, "How often a connection is pinged."),
    row("socket.ping_timeout", "15s", SPAN, "How long a pong may take."),
    row("socket.receipt_after", "500ms", SPAN, "So long after something was written to it, or after the last receipt, a connection is asked (by a ping) whether that has arrived; sooner with what is written to it anyway."),
    row("socket.write_timeout", "10s", SPAN, "How long a client may take to accept what is written to it."),
    row("socket.head_timeout", "5s", SPAN, "How long a client may take to send a request."),

    row("mailbox.messages", "256", COUNT, "The most messages that wait for one peer."),
    row("mailbox.bytes", "1MiB", SIZE, "The most bytes that wait for one peer."),

    row("links.messages", "20000", COUNT, "The most messages that are kept for one other node until it has acknowledged them. When three quarters of that wait, those who send them are not read for a while."),
    row("links.bytes", "8MiB", SIZE, "The most bytes of them; likewise."),
    row("links.patience", "3s", ANY_SPAN, "How long a client is not read, since too much waits on the way to where it sends. After that it is told what does not fit."),
    row("links.inbox_frames", "4096", COUNT, "The most frames from other nodes that wait to be taken; what is more is dropped, and asked for again."),
    row("links.inbox_bytes", "32MiB", SIZE, "The most bytes of them."),

    row("unsettled.messages", "200000", COUNT, "The most messages to peers on other nodes of which a copy is kept until it has arrived, or that wait for one that is looked for."),
    row("unsettled.bytes", "128MiB", SIZE, "The most bytes of them."),

    row("limits.connections", "100000", COUNT, "The most connections to this node."),
    row("limits.arriving", "256", COUNT, "The most clients that come in at the same moment; one more is asked to come again a little later (503)."),
    row("limits.topics", "1000", COUNT, "The most topics that a client of y-webrtc may be subscribed to; with one more it is sent away (1013)."),
    row("limits.messages_per_second", "200", COUNT, "How many messages a client may send each second, on and on."),
    row("limits.message_burst", "1000", COUNT, "How many messages a client may send at once after a silence."),
    row("limits.bytes_per_second", "512KiB", SIZE, "How many bytes a client may send each second, on and on."),
    row("limits.byte_burst", "2MiB", SIZE, "How many bytes a client may send at once after a silence."),
    row("limits.password_attempts", "10", COUNT, "How many passwords may be tried per address, room and minute."),
    row("limits.rooms_per_minute", "60", COUNT, "How many rooms may be made per address and minute."),
    row("limits.registrations_per_minute", "60", COUNT, "How many names of direct may be registered per address and minute."),
];
