import { expect, test } from './playground.js';

test('a student begins with a swarm, sees who leads, and sees tasks move as a node drains', async ({ playground }) => {
  const { page } = playground;
  await page.goto(playground.gateway.url);
  await page.getByRole('button', { name: 'Start 3 managers + 2 workers' }).click();
  await expect(page).toHaveURL(/\/p\/[^/]+$/);
  await expect(playground.node('manager1').getByText('leader', { exact: true })).toBeVisible({ timeout: 60_000 });
  for (const name of ['manager2', 'manager3']) {
    await expect(playground.node(name).getByText('manager', { exact: true })).toBeVisible();
  }
  for (const name of ['worker1', 'worker2']) {
    await expect(playground.node(name).getByText('worker', { exact: true })).toBeVisible();
  }

  // Whichever node came first, the screen has the first one's terminal.
  await expect(playground.tab('manager1 · 1')).toHaveAttribute('aria-selected', 'true');
  await expect(page.getByRole('tab')).toHaveCount(1);
  await playground.open('manager1 · 1');
  await playground.run('manager1 · 1', 'docker node ls | grep -c Ready', /^5$/m);
  await playground.type('manager1 · 1', 'docker service create -d --name web --replicas 2 --constraint node.role==worker alpine sleep 1d');
  await page.getByRole('button', { name: 'Topology', pressed: false }).click();
  const topology = page.getByRole('region', { name: 'Topology' });
  const task = (slot: number) => topology.getByRole('button', { name: new RegExp(`^Container web\\.${slot}, `) });
  await expect(task(1)).toBeVisible();
  await expect(task(2)).toBeVisible();
  await playground.picture('swarm');

  await playground.type('manager1 · 1', 'docker node update --availability drain worker1');
  await expect(playground.node('worker1').getByText('worker · drain', { exact: true })).toBeVisible();
  await topology.getByRole('button', { name: /^worker1, / }).click();
  const details = topology.getByRole('complementary', { name: 'Details' });
  await expect(details).toContainText('worker · drain');

  // A service's port is every node's, also of one without a task.
  await playground.type('manager1 · 1', 'docker service create -d --name site -p 8080:80 --constraint node.role==worker whoami');
  await expect(details.getByRole('link', { name: 'Open port 8080', exact: true })).toBeVisible();
  for (const name of ['manager1', 'manager2', 'manager3', 'worker1', 'worker2']) {
    await expect(playground.node(name).getByRole('link', { name: `Open port 8080 of ${name}` })).toBeVisible();
  }
  const opened = page.context().waitForEvent('page');
  await playground.node('worker1').getByRole('link', { name: 'Open port 8080 of worker1' }).click();
  await expect((await opened).getByText('Hostname')).toBeVisible();
  await playground.picture('swarm-drained');
});
