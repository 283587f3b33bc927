import assert from 'node:assert/strict';
import { areApart, Client, stages } from './client.js';
import { connects } from './clients/direct.js';
import { enters } from './clients/mesh.js';
import { hosts, joins } from './clients/share.js';
import { scene } from './scene.js';

scene('share: a user shows a screen to the host, whoever drops out', async (house) => {
  const browser = await house.browser();
  for (const [here, there] of await stages(house)) {
    const host = await Client.opens(browser, 'the host', here);
    const user = await Client.opens(browser, 'the user', there);
    const roomid = await host.does(hosts, { url: host.socket('/ws'), username: 'Hugo' });
    const comes = () => user.does(joins, { url: user.socket('/ws'), username: 'Uta', roomid });
    const shares = async (times) => {
      await user.does(() => window.share());
      await host.hears('RCP_OFFER', times);
      await host.receives('video');
    };
    await comes();
    await areApart([here, there], 'share');
    await shares(1);

    await user.does(() => window.stop());
    assert.deepEqual(await host.hears('STOP_SHARING'), [{ type: 'STOP_SHARING', username: 'Uta' }]);
    await shares(2);

    await user.drops();
    await host.hears('USER_LEFT');
    await host.receives('video');
    await comes();
    await shares(3);

    await host.drops();
    const [error] = await user.hears('ERROR');
    assert.deepEqual(error, { type: 'ERROR', message: 'The host has left' });
    await host.receives('video');
    assert.deepEqual(await user.heard('STOP_SHARING'), [], 'nobody has told the user to stop');
    assert.equal((await host.heard('STOP_SHARING')).length, 1);
    await Promise.all([host.closes(), user.closes()]);
  }
});

scene('direct: users who have registered call each other by name, and one drops out', async (house) => {
  const browser = await house.browser();
  for (const [here, there] of await stages(house)) {
    // The app's page came from the host of its server.
    const alice = await Client.opens(browser, 'alice', here, '/healthcheck');
    const bob = await Client.opens(browser, 'bob', there, '/healthcheck');
    const both = (act) => Promise.all([alice, bob].map(act));
    const talk = () => both(async (person) => Promise.all([person.receives('video'), person.receives('audio')]));
    const bothAreContent = () =>
      both(async (person) => {
        for (const type of ['TARGET_NOT_FOUND', 'INVALID_MESSAGE']) assert.deepEqual(await person.heard(type), []);
      });
    await both((person) => person.does(connects, person.name));
    await areApart([here, there], 'direct');
    await alice.does(() => window.ring('bob'));
    await bob.hears('offer');
    await talk();
    await bothAreContent();

    await alice.drops();
    await talk();
    await alice.does(connects, 'alice');
    await bob.does(() => window.ring('alice'));
    const [{ originator, target }] = await alice.hears('offer');
    assert.deepEqual({ originator, target }, { originator: 'bob', target: 'alice' });
    await talk();
    await both((person) => person.closes());
  }
});

scene('mesh: who joins the lobby is called by whoever is in it, and one drops out', async (house) => {
  const browser = await house.browser();
  for (const [here, there] of await stages(house)) {
    const alice = await Client.opens(browser, 'alice', here);
    const bob = await Client.opens(browser, 'bob', there);
    const comes = (person) => person.does(enters, { url: person.socket('/mesh'), name: person.name });
    const talk = () =>
      Promise.all([alice, bob].map((person) => Promise.all([person.receives('video'), person.receives('audio')])));
    const id = await comes(alice);
    assert.notEqual(await comes(bob), id);
    await areApart([here, there], 'mesh');
    const [{ payload }] = await bob.hears('OFFER');
    assert.deepEqual(payload.user, { id, name: 'alice' });
    await talk();

    await bob.drops();
    await talk();
    await comes(bob);
    await bob.hears('OFFER', 2);
    await talk();
    for (const person of [alice, bob]) {
      assert.deepEqual(await person.heard('ERROR'), []);
      await person.closes();
    }
  }
});
