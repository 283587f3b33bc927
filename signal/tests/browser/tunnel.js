// A network between a browser and a node, which can be gone for a while: nothing comes through, and nobody is told.
import { once } from 'node:events';
import { connect, createServer } from 'node:net';

/** A tunnel to `url`; it ends when nobody needs this process any more. */
export async function tunnel(url) {
  const { hostname, port } = new URL(url);
  const ends = new Set();
  let open = true;
  const server = createServer((near) => {
    const far = connect(port, hostname);
    for (const [from, to] of [[near, far], [far, near]]) {
      ends.add(from);
      from.on('data', (bytes) => open && to.write(bytes));
      from.on('close', () => {
        ends.delete(from);
        // A network that is gone does not carry the news that somebody has hung up either.
        if (open) to.destroy();
      });
      from.on('error', () => {});
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  server.unref();
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    isGone: () => (open = false),
    /** It is there again; what went through it before is dead, as after a new address from the network. */
    isBack: () => {
      open = true;
      for (const end of ends) end.destroy();
    },
  };
}
