// A session that others look at or work in: smaller windows, links, labs half done.

import { Lab } from './lab.js';
import { Playground, expect, test } from './playground.js';

test('a watcher sees all of a larger terminal and cannot type', async ({ playground, browser }) => {
  await playground.start();
  await playground.addNode('node1');
  await playground.open('node1 · 1');
  const context = await browser.newContext({ viewport: { width: 760, height: 520 } });
  const page = await context.newPage();
  await page.goto(`${playground.page.url()}?mode=ro`);
  const watcher = new Playground(page, playground.gateway);
  await expect(page.getByText('You are watching: the keyboard is off.')).toBeVisible();
  await expect(page.getByRole('button', { name: 'Add node' })).toBeHidden();
  await playground.run('node1 · 1', 'seq 90; echo "$((6 * 7)) to watch"', '42 to watch');
  await watcher.shows('node1 · 1', '42 to watch');
  await expect
    .poll(
      async () => {
        const room = await watcher.screen('node1 · 1').boundingBox();
        const drawn = await watcher.screen('node1 · 1').locator('.xterm-screen').boundingBox();
        if (!room || !drawn) return 'not drawn';
        const below = drawn.y + drawn.height - (room.y + room.height);
        const beside = drawn.x + drawn.width - (room.x + room.width);
        return below > 0 || beside > 0 ? `${below} below, ${beside} beside` : 'all in sight';
      },
      { message: 'the larger terminal in the smaller window' },
    )
    .toBe('all in sight');
  await watcher.picture('watcher');
  await watcher.type('node1 · 1', 'echo "$((6 * 8)) typed"');
  await playground.run('node1 · 1', 'echo "$((6 * 9)) afterwards"', '54 afterwards');
  expect(await playground.text('node1 · 1')).not.toContain('48 typed');
  await context.close();
});

test('a second browser opens a lab at the first step that is not done', async ({ playground, browser }) => {
  const lab = await Lab.start(playground, 'First containers');
  await lab.next();
  await lab.isAt('Hello from a container');
  await lab.run('docker run hello-world');
  await lab.holds('hello-world has run and ended well');
  await lab.choose('difference between an image and a container', 'An image is a read-only template');
  await expect(lab.quiz('difference between an image')).toContainText('Right');
  const other = await playground.join(browser);
  await new Lab(other).isAt('A shell inside');
  await lab.isAt('Hello from a container');
  await other.page.context().close();
});

test('links are copied from a menu that then goes away', async ({ playground }) => {
  const { page } = playground;
  await playground.start();
  await playground.addNode('node1');
  await playground.open('node1 · 1');
  const menu = page.getByRole('group', { name: 'Share' }).getByRole('button', { name: /Copy link/ });
  const open = () => page.getByText('Share', { exact: true }).click();
  await open();
  await menu.click();
  await expect(menu).toBeHidden();
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(page.url());
  await open();
  await expect(menu).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(menu).toBeHidden();
  await open();
  await expect(menu).toBeVisible();
  await playground.screen('node1 · 1').click();
  await expect(menu).toBeHidden();
});

test('a file that is dropped on a terminal is in its node', async ({ playground }) => {
  const { page } = playground;
  await playground.start();
  await playground.addNode('node1');
  await playground.open('node1 · 1');
  const files = await page.evaluateHandle(() => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([new Uint8Array(3_000_000)], 'dropped.bin'));
    return transfer;
  });
  const panel = playground.screen('node1 · 1');
  await panel.dispatchEvent('dragover', { dataTransfer: files });
  await expect(panel).toContainText('Drop to upload');
  await panel.dispatchEvent('drop', { dataTransfer: files });
  await expect(page.getByText('dropped.bin is on node1.')).toBeVisible();
  await playground.run('node1 · 1', 'stat -c "%s bytes" ~/dropped.bin', '3000000 bytes');
});

test('what scrolled by is found by the keyboard alone', async ({ playground }) => {
  const { page } = playground;
  await playground.start();
  await playground.addNode('node1');
  await playground.open('node1 · 1');
  await playground.run('node1 · 1', 'seq 500; echo "$((6 * 7)) at the end"', '42 at the end');
  await page.keyboard.press('Control+Shift+F');
  const input = page.getByRole('textbox', { name: 'Search the output' });
  await expect(input).toBeFocused();
  await page.keyboard.type('123');
  await playground.shows('node1 · 1', /^123$/m);
  await page.keyboard.type('nowhere');
  await expect(input).toHaveAttribute('aria-invalid', 'true');
  await page.keyboard.press('Escape');
  await expect(input).toBeHidden();
  await playground.type('node1 · 1', 'echo "$((6 * 8)) typed on"');
  await playground.shows('node1 · 1', '48 typed on');
});

test('what the drawing shows is told by a click or a key', async ({ playground }) => {
  const { page } = playground;
  await playground.start();
  await playground.addNode('node1');
  await playground.open('node1 · 1');
  await playground.type('node1 · 1', 'docker run -d --name web -p 8080:80 nginx');
  await page.getByRole('button', { name: 'Topology', pressed: false }).click();
  const topology = page.getByRole('region', { name: 'Topology' });
  const details = page.getByRole('complementary', { name: 'Details' });
  await topology.getByRole('button', { name: /^Container web/ }).focus();
  await page.keyboard.press('Enter');
  await expect(details).toContainText('8080 → 80/tcp');
  await expect(details.getByRole('link', { name: 'Open port 8080' })).toHaveAttribute('href', /-8080\.direct\./);
  await topology.getByRole('button', { name: /^node1,/ }).click();
  await expect(details).toContainText('Memory');
  // Its figures change every few seconds; the button that has the focus stays the same.
  const close = details.getByRole('button', { name: 'Close the details' });
  await close.focus();
  const before = await details.innerText();
  await playground.type('node1 · 1', 'docker rm -f web');
  await close.focus();
  await expect.poll(() => details.innerText()).not.toBe(before);
  await expect(close).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(details).toBeHidden();
});
