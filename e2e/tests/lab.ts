// The lab pane, as a student uses it: by clicking.

import { type Locator, expect } from '@playwright/test';
import type { Playground } from './playground.js';

export class Lab {
  readonly pane: Locator;
  readonly step: Locator;

  constructor(private readonly playground: Playground) {
    this.pane = playground.page.getByRole('region', { name: 'Lab', exact: true });
    this.step = this.pane.getByRole('region', { name: 'Step', exact: true });
  }

  static async start(playground: Playground, title: string): Promise<Lab> {
    await playground.page.goto(playground.gateway.url);
    await playground.page.getByRole('button', { name: `Start the lab ${title}` }).click();
    const lab = new Lab(playground);
    await expect(lab.pane.getByRole('heading', { name: title, exact: true })).toBeVisible();
    await expect(lab.pane.getByText('The nodes are being prepared…')).toBeHidden({ timeout: 60_000 });
    return lab;
  }

  async isAt(title: string): Promise<void> {
    await expect(this.step.getByRole('heading', { level: 3 })).toContainText(title);
  }

  async next(): Promise<void> {
    await this.pane.getByRole('button', { name: 'Next' }).click();
  }

  /** Clicks a block whose text begins with `line`, and waits until its terminal asks for the next command. */
  async run(line: string | RegExp, tab = 'node1 · 1', which = 0): Promise<void> {
    const before = await this.playground.text(tab);
    await this.click(line, which);
    await expect
      .poll(
        async () => {
          const now = await this.playground.text(tab);
          return now !== before && /[$#]$/.test(now);
        },
        { timeout: 60_000, message: `a prompt after ${line}` },
      )
      .toBe(true);
  }

  /** Clicks a block and waits for nothing; `which` of those that begin with the same line. */
  async click(line: string | RegExp, which = 0): Promise<void> {
    const name = typeof line === 'string' ? `Run ${line}` : line;
    await this.step.getByRole('button', { name, exact: true }).nth(which).click();
  }

  async choose(question: string, ...answers: (string | RegExp)[]): Promise<void> {
    const quiz = this.quiz(question);
    const radios = quiz.getByRole('radio');
    const choices = (await radios.count()) > 0 ? 'radio' : 'checkbox';
    for (const answer of answers) await quiz.getByRole(choices, { name: answer }).check();
    await quiz.getByRole('button', { name: 'Answer' }).click();
  }

  async answer(question: string, text: string): Promise<void> {
    const quiz = this.quiz(question);
    await quiz.getByRole('textbox', { name: 'Your answer' }).fill(text);
    await quiz.getByRole('button', { name: 'Answer' }).click();
  }

  quiz(question: string): Locator {
    return this.step.getByRole('group').filter({ hasText: question });
  }

  async holds(check: string): Promise<void> {
    await expect(this.step.getByRole('status').filter({ hasText: check })).toContainText('holds');
  }
}
