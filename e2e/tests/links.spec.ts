import { expect, test } from './playground.js';

test('a student cuts a link, sees that it is cut, and heals it', async ({ playground }) => {
  const { page } = playground;
  await playground.start();
  await playground.addNode('node1');
  await playground.addNode('node2');
  await playground.open('node1 · 1');
  await playground.run('node1 · 1', 'ping -c1 -W9 node2 >/dev/null && echo "reached $((1 + 1))"', 'reached 2');

  await page.getByRole('button', { name: 'Topology', pressed: false }).click();
  const topology = page.getByRole('region', { name: 'Topology' });
  await topology.getByRole('button', { name: /^node1, / }).click();
  const details = topology.getByRole('complementary', { name: 'Details' });
  await details.getByRole('button', { name: 'Link to node2' }).click();
  await details.getByRole('button', { name: 'Cut', exact: true }).click();
  const row = topology.getByRole('button', { name: 'node1 ↔ node2 cut' });
  await expect(row).toBeVisible();
  await playground.run('node1 · 1', 'ping -c1 -W2 $(getent hosts node2 | cut -d" " -f1) >/dev/null || echo "lost $((1 + 1))"', 'lost 2');
  await playground.picture('link-cut');

  await details.getByRole('button', { name: 'Whole' }).click();
  await expect(row).toBeHidden();
  await playground.run('node1 · 1', 'ping -c1 -W9 node2 >/dev/null && echo "healed $((1 + 1))"', 'healed 2');

  await topology.getByRole('button', { name: /^node2, / }).click();
  await details.getByRole('button', { name: 'Lose 30 %' }).click();
  await expect(topology.getByRole('button', { name: /^node2, .*cable loses 30 %/ })).toBeVisible();
  await playground.picture('link-loses');
});

test('a student watches packets on a link, filters them and saves them', async ({ playground }) => {
  const { page } = playground;
  await playground.start();
  await playground.addNode('node1');
  await playground.addNode('node2');
  await playground.open('node1 · 1');
  await page.getByRole('button', { name: 'Topology', pressed: false }).click();
  const topology = page.getByRole('region', { name: 'Topology' });
  await topology.getByRole('button', { name: /^node1, / }).click();
  await topology.getByRole('button', { name: 'Capture eth0' }).click();
  const pane = topology.getByRole('region', { name: 'Packets on node1 eth0' });
  const packets = pane.getByRole('log', { name: 'Packets' });
  await expect(packets).toContainText('listening on eth0');
  await playground.type('node1 · 1', 'ping -i 0.2 node2 >/dev/null &');
  await expect(packets).toContainText('ICMP echo request');
  // What passes is told at the link while it passes.
  await expect(topology.getByText(/\d B\/s/).first()).toBeVisible();
  await playground.picture('capture');

  await pane.getByRole('textbox', { name: 'Filter' }).fill('icmp[icmptype] = icmp-echoreply');
  await pane.getByRole('button', { name: 'Apply' }).click();
  await expect(packets).toContainText('ICMP echo reply');
  await expect(packets).not.toContainText('ICMP echo request');
  await pane.getByRole('textbox', { name: 'Filter' }).fill('nonsense here');
  await pane.getByRole('button', { name: 'Apply' }).click();
  await expect(packets).toContainText('syntax error');
  await expect(pane.getByRole('button', { name: 'Stop' })).toBeDisabled();

  await pane.getByRole('textbox', { name: 'Filter' }).fill('icmp');
  await pane.getByRole('button', { name: 'Start' }).click();
  await expect(packets).toContainText('ICMP echo');
  const [saved] = await Promise.all([
    page.waitForEvent('download'),
    pane.getByRole('link', { name: 'Save 15 s as pcap' }).click(),
  ]);
  expect(saved.suggestedFilename()).toBe('node1-eth0.pcap');
  const path = await saved.path();
  const { readFileSync } = await import('node:fs');
  const file = readFileSync(path);
  expect(file.subarray(0, 4).toString('hex')).toBe('d4c3b2a1');
  expect(file.length).toBeGreaterThan(500);

  await pane.getByRole('button', { name: 'Close the capture' }).click();
  await expect(pane).toBeHidden();
  await playground.run('node1 · 1', 'kill %1; until ! pgrep -x tcpdump; do sleep 0.1; done; echo "none $((1 + 1))"', 'none 2');
});
