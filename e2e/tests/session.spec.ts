import { expect, test } from './playground.js';

test('a student runs containers on two nodes and opens what they publish', async ({ playground, context }) => {
  const { page } = playground;
  await page.goto(playground.gateway.url);
  await expect(page.getByRole('button', { name: 'Start a session' })).toBeVisible();
  await playground.picture('landing');

  await playground.start();
  await playground.addNode('node1');
  await playground.addNode('node2');
  await playground.open('node1 · 1');

  await playground.type('node1 · 1', 'docker run -it --name shell alpine sh');
  await playground.shows('node1 · 1', /\/ # *$/);
  await playground.run('node1 · 1', 'echo "from $((6 * 7)) inside"', 'from 42 inside');
  await page.getByRole('button', { name: 'Topology', pressed: false }).click();
  const topology = page.getByRole('region', { name: 'Topology' });
  await expect(topology).toContainText('shell');
  await playground.picture('session-shell');
  await playground.type('node1 · 1', 'exit');
  await playground.shows('node1 · 1', /\$ *$/);

  await playground.type('node1 · 1', 'docker run -d --name web -p 8080:80 nginx');
  const port = playground.node('node1').getByRole('link', { name: 'Open port 8080 of node1' });
  await expect(port).toBeVisible();
  await expect(topology).toContainText('web');
  await playground.picture('session-web');
  const [opened] = await Promise.all([context.waitForEvent('page'), port.click()]);
  await expect(opened.getByRole('heading', { name: /nginx/i })).toBeVisible();
  expect(new URL(opened.url()).hostname).toMatch(/^ip10-.*-8080\.direct\.localhost$/);
  await opened.screenshot({ path: 'artifacts/published-nginx.png' });
  await opened.close();

  await playground.open('node2 · 1');
  await playground.run('node2 · 1', 'docker run --rm busybox echo second', /^second$/m);

  await playground.node('node2').getByRole('button', { name: 'Delete node2' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete node' }).click();
  await expect(playground.node('node2')).toBeHidden();
  await expect(playground.tab('node2 · 1')).toBeHidden();
});

test('two browsers in one session see the same terminals and nodes', async ({ playground, browser }) => {
  await playground.start();
  await playground.addNode('node1');
  await playground.open('node1 · 1');
  const other = await playground.join(browser);
  await other.open('node1 · 1');
  await playground.run('node1 · 1', 'echo "$((40 + 2)) from the first"', '42 from the first');
  await other.shows('node1 · 1', '42 from the first');
  await other.run('node1 · 1', 'echo "$((40 + 3)) from the second"', '43 from the second');
  await playground.shows('node1 · 1', '43 from the second');
  await other.addNode('node2');
  await expect(playground.node('node2')).toBeVisible();
  await other.picture('two-browsers');
  await other.page.context().close();
});

test('a reload shows the terminal as it was', async ({ playground }) => {
  await playground.start();
  await playground.addNode('node1');
  await playground.open('node1 · 1');
  await playground.run('node1 · 1', 'echo "$((6 * 7)) before"; sleep 2; echo "$((6 * 8)) after"', '42 before');
  await playground.page.reload();
  await playground.shows('node1 · 1', /42 before\n48 after/);
});

test('a session ends when its time is over, and says so', async ({ playground }) => {
  const { page, gateway } = playground;
  const made = await page.request.post(gateway.url, {
    headers: { 'X-Requested-With': 'XMLHttpRequest' },
    form: { 'session-duration': '12s' },
  });
  const { session_id } = await made.json();
  await page.goto(`${gateway.url}/p/${session_id}`);
  await expect(page.getByRole('timer', { name: 'Time left' })).toContainText('0:0');
  await expect(page.getByText(/session (has ended|is over|ended)/i).first()).toBeVisible({ timeout: 60_000 });
  await playground.picture('session-ended');
  const gone = await page.request.get(`${gateway.url}/sessions/${session_id}`);
  expect(gone.status()).toBe(404);
});
