import { defineConfig } from '@playwright/test';

export default defineConfig({
  testDir: 'tests',
  outputDir: 'artifacts/results',
  // The tests share two processors with the nodes they make.
  workers: 1,
  fullyParallel: false,
  forbidOnly: true,
  // A second try tells a busy machine from a defect; the report names what needed one.
  retries: 2,
  timeout: 300_000,
  expect: { timeout: 60_000 },
  reporter: [['list'], ['junit', { outputFile: 'artifacts/junit.xml' }]],
  use: {
    browserName: 'chromium',
    viewport: { width: 1440, height: 900 },
    screenshot: 'only-on-failure',
    trace: 'retain-on-failure',
    permissions: ['clipboard-read', 'clipboard-write'],
    launchOptions: {
      executablePath: process.env.DRYDOCK_CHROMIUM ?? '/usr/bin/chromium',
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    },
  },
});
