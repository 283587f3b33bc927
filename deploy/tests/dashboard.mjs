// What the dashboard asks.
import { readFile } from 'node:fs/promises';

/** Its variables, as they are when nothing is chosen in it and it is looked at from near. */
const variables = { $node: '.*', $__rate_interval: '1m' };

/** Every query of the dashboard, with the title of its panel. */
export async function queries() {
  const { panels, annotations } = JSON.parse(await readFile(new URL('../grafana/dashboard.json', import.meta.url), 'utf8'));
  const ofPanels = panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ title, expr: plain(expr) })));
  const ofAnnotations = annotations.list.map(({ name, expr }) => ({ title: name, expr: plain(expr), mayBeEmpty: true }));
  return [...ofPanels, ...ofAnnotations];
}

const plain = (expr) => Object.entries(variables).reduce((text, [name, value]) => text.replaceAll(name, value), expr);
