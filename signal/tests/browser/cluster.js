// `make cluster`, told to take free ports, with all that it starts.
import { readdir, readFile } from 'node:fs/promises';
import { repository } from './node.js';
import { until } from './until.js';

export async function cluster(house, env) {
  const part = house.starts('cluster', 'make', ['--no-print-directory', 'cluster'], {
    cwd: repository,
    env: { HTTPS_PORT: '0', PROMETHEUS_PORT: '0', ...env },
  });
  return {
    part,

    /** What it says to a person, once everything is there. */
    async opens() {
      await part.says(/^Ctrl-C/m, { within: 60_000 });
      const said = (pattern) => pattern.exec(part.log)[1];
      return {
        url: said(/^Switchboard is at\s+(https:\S+)/m),
        credentials: said(/^TURN is at.*credentials at\s+(http:\S+)/m),
        prometheus: said(/^Prometheus is at\s+(http:\S+)/m),
        metrics: part.log.slice(part.log.search(/^Metrics are at/m)).match(/http:\S+\/metrics/g),
      };
    },

    /** Every program that it has started, and those in turn, by pid. */
    async programs() {
      const parents = await processes();
      const of = (pid) => parents.filter(({ parent }) => parent === pid).flatMap(({ pid, name }) => [{ pid, name }, ...of(pid)]);
      return of(part.child.pid);
    },

    async stops() {
      part.child.kill('SIGTERM');
      await part.ended;
    },
  };
}

/** That none of these programs runs any more. */
export async function areGone(programs) {
  await until('nothing is left running', async () => {
    const running = (await processes()).filter(({ pid, name }) => programs.some((one) => one.pid === pid && one.name === name));
    if (running.length) throw new Error(running.map(({ pid, name }) => `${name} (${pid})`).join(', '));
    return true;
  });
}

async function processes() {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const stats = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')));
  return stats.flatMap((stat) => {
    const [, pid, name, state, parent] = /^(\d+) \((.*)\) (\S) (\d+)/s.exec(stat) ?? [];
    return pid && state !== 'Z' ? [{ pid: Number(pid), name, parent: Number(parent) }] : [];
  });
}
