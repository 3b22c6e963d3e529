import { Lab } from './lab.js';
import { expect, test } from './playground.js';

test('a killed gateway loses no terminal, no shell and no byte', async ({ playground, gateway }) => {
  await playground.start();
  await playground.addNode('node1');
  await playground.open('node1 · 1');
  await playground.type('node1 · 1', 'PS1="> "; clear; word=kept; for i in $(seq 1 40); do echo "line $i"; sleep 0.2; done');
  await playground.shows('node1 · 1', 'line 3');

  await gateway.kill();
  await expect(playground.page.getByText(/Reconnecting/).first()).toBeVisible();
  await playground.picture('gateway-killed');
  await gateway.start();

  await playground.shows('node1 · 1', /line 40/);
  const shown = await playground.text('node1 · 1');
  const lines = [...shown.matchAll(/^line (\d+)$/gm)].map((line) => Number(line[1]));
  const first = lines[0];
  expect(lines).toEqual(Array.from({ length: 40 - first + 1 }, (_, index) => first + index));
  await expect(playground.page.getByText(/Reconnecting/)).toHaveCount(0);

  await playground.run('node1 · 1', 'echo "my word is $word"', 'my word is kept');
  await playground.run('node1 · 1', 'docker run --rm alpine echo "$((6 * 7)) after"', '42 after');
});

test('a killed gateway keeps how far a lab was followed', async ({ playground, gateway }) => {
  const lab = await Lab.start(playground, 'First containers');
  await lab.next();
  await lab.run('docker run hello-world');
  await lab.holds('hello-world has run and ended well');
  await gateway.kill();
  await gateway.start();
  await expect(playground.page.getByText(/Reconnecting/)).toHaveCount(0);
  await lab.choose('difference between an image and a container', 'An image is a read-only template');
  await lab.next();
  await lab.isAt('A shell inside');
  await lab.run('docker run -it --name shell alpine sh');
  await lab.run('echo "I was here" > /root/note');
  await lab.holds('The container shell is running and has your note');
});
