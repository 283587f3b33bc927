// The client module: all that an app imports. Types and descriptions are in client.d.ts.
// From the root on, as this file is also served as /client.js.

export { Client } from "/web/client/client.js";
export { ROOM, SERVER } from "/web/client/signaling.js";
