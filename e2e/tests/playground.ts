// What every test begins with: a gateway for all of them, and a page that speaks of sessions, nodes and terminals.

import { type Browser, type Locator, type Page, test as base, expect } from '@playwright/test';
import { Gateway } from './gateway.js';

export { expect };

export const test = base.extend<{ playground: Playground }, { gateway: Gateway }>({
  gateway: [
    async ({}, use) => {
      const gateway = await Gateway.open();
      await use(gateway);
      await gateway.close();
    },
    { scope: 'worker', timeout: 330_000 },
  ],
  playground: async ({ page, gateway }, use) => {
    const complaints = listen(page);
    const playground = new Playground(page, gateway);
    await use(playground);
    await playground.end();
    expect(complaints, 'what the browser held against the page').toEqual([]);
  },
});

/** What the browser says against a page in any test: code that failed, or that its Content-Security-Policy forbade. */
function listen(page: Page): string[] {
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    if (message.text().includes('Content Security Policy')) complaints.push(message.text());
  });
  return complaints;
}

export class Playground {
  constructor(
    readonly page: Page,
    readonly gateway: Gateway,
  ) {}

  /** Starts a session from the landing page, as a student does. */
  async start(): Promise<void> {
    await this.page.goto(this.gateway.url);
    await this.page.getByRole('button', { name: 'Start a session' }).click();
    await expect(this.page).toHaveURL(/\/p\/[^/]+$/);
  }

  /** The session of this page in a second browser. */
  async join(browser: Browser): Promise<Playground> {
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(this.page.url());
    return new Playground(page, this.gateway);
  }

  node(hostname: string): Locator {
    return this.page.getByRole('listitem', { name: hostname, exact: true });
  }

  async addNode(hostname: string): Promise<void> {
    await this.page.getByRole('button', { name: 'Add node' }).click();
    await expect(this.node(hostname)).toBeVisible();
    await expect(this.node(hostname)).toContainText('ready');
  }

  tab(name: string): Locator {
    return this.page.getByRole('tab', { name, exact: true });
  }

  /** The terminal of a tab: its rows are in the page for screen readers, and so for tests. */
  screen(name: string): Locator {
    return this.page.getByRole('tabpanel', { name, exact: true });
  }

  /** Shows a tab and waits for its shell's prompt. */
  async open(name: string): Promise<void> {
    await this.tab(name).click();
    await this.shows(name, /\$ *$/);
  }

  /** What the terminal shows, whole lines as the screen has them. */
  async text(name: string): Promise<string> {
    const rows = await this.screen(name).getByRole('list').getByRole('listitem').allInnerTexts();
    return rows.map((row) => row.replaceAll('\u00a0', ' ').trimEnd()).join('\n').trimEnd();
  }

  async shows(name: string, wanted: string | RegExp, timeout = 60_000): Promise<void> {
    const shown = expect.poll(() => this.text(name), { timeout, message: `${name} shows ${wanted}` });
    await (typeof wanted === 'string' ? shown.toContain(wanted) : shown.toMatch(wanted));
  }

  /** Types a line into the terminal of a tab. */
  async type(name: string, line: string): Promise<void> {
    await this.screen(name).getByRole('textbox').first().focus();
    await this.page.keyboard.type(line);
    await this.page.keyboard.press('Enter');
  }

  /** Types a line and waits for what it prints. */
  async run(name: string, line: string, wanted: string | RegExp): Promise<void> {
    await this.type(name, line);
    await this.shows(name, wanted);
  }

  /** Kept beside the results, to be looked at. */
  async picture(name: string): Promise<void> {
    await this.page.screenshot({ path: `artifacts/${name}.png` });
  }

  /** Ends the session, so that the next test has the machine to itself. */
  async end(): Promise<void> {
    const session = /\/p\/([^/?#]+)/.exec(this.page.url())?.[1];
    if (session) await this.page.request.delete(`${this.gateway.url}/sessions/${session}`).catch(() => undefined);
  }
}
