import assert from 'node:assert/strict';
import { containers } from './containers.js';
import { scene } from './scene.js';
import { until } from './until.js';

const minutes = 60_000;

scene('a call through the image, in containers as compose.yaml has them, one of which is stopped', async (house) => {
  const here = await containers(house);
  try {
    await here.starts();
    const { Config, HostConfig } = await here.inspects('left');
    assert.equal(Config.User, '65532:65532');
    assert.ok(HostConfig.ReadonlyRootfs);

    // As somebody who has clicked the warning away.
    const browser = await house.browser({ args: ['--ignore-certificate-errors'] });
    const [alice, bob] = [await house.caller('Alice', { browser }), await house.caller('Bob', { browser })];
    await until('haproxy answers', async () => {
      await alice.opens(here.url);
      return (await alice.page.title()) !== '';
    }, { within: 30_000, every: 500 });
    for (const person of [alice, bob]) {
      // While containers get their networks, Chromium breaks off what it is loading (ERR_NETWORK_CHANGED).
      await until('the page is whole', async () => {
        await person.opens(new URL('/room/contained', here.url));
        return person.page.locator('#join:enabled').waitFor({ timeout: 5_000 }).then(() => true, () => false);
      }, { within: 40_000, every: 500 });
      await person.joins();
    }
    await alice.sees(bob);
    await bob.sees(alice);
    await alice.tells(bob, 'Can you hear me in there?');
    await bob.tells(alice, 'Through all of these networks.');

    // turn-auth may have begun a moment later than the nodes, which ask it for each who comes.
    let given;
    await until('credentials', async () => {
      given = (await alice.iceServers()).find(({ username }) => username);
      if (given) return true;
      await alice.opens(new URL('/room/contained', here.url));
      await alice.joins();
      await alice.sees(bob);
      return false;
    }, { within: 40_000, every: 500 });
    assert.ok([given.urls].flat().includes(`${here.turn}?transport=udp`), 'turn-auth gave credentials for coturn');

    // Its clients are sent to the other node, and the call goes on.
    const node = (await here.inspects('left')).Config.Hostname;
    const [hers, service] = alice.socketServedBy().startsWith(node) ? [alice, 'left'] : [alice, 'right'];
    const before = hers.socketServedBy();
    assert.equal(await here.stops(service), 0, 'it drained and ended by itself');
    await hers.is('connected');
    assert.notEqual(hers.socketServedBy(), before);
    await alice.tells(bob, 'I am on the other node now.');
    await alice.screenshot('image-alice');
  } catch (problem) {
    console.error(await here.said());
    throw problem;
  } finally {
    await here.ends();
  }
  assert.equal(await here.names(), '', 'nothing is left');
}, { deadline: 4 * minutes });
