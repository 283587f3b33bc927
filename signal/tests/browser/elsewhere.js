// A page that does not come from a node. From a real server: to a made-up one a browser denies what is on this machine.
import { once } from 'node:events';
import { createServer } from 'node:http';

/** The address of the page, until this process ends. */
export async function elsewhere(page) {
  const server = createServer((_, answer) => answer.setHeader('content-type', 'text/html').end(page));
  server.listen(0, '127.0.0.1').unref();
  await once(server, 'listening');
  return `http://127.0.0.1:${server.address().port}/`;
}
