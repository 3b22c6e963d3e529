// A gateway of the tests' own: a real `drydock serve` with a data folder in /tmp, which a test may kill and start again.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const DIST = process.env.DRYDOCK_DIST ?? resolve(import.meta.dirname, '../../dist');
const ARTIFACTS = resolve(import.meta.dirname, '../artifacts');

export class Gateway {
  private constructor(
    readonly port: number,
    private readonly folder: string,
    private process?: ChildProcess,
  ) {}

  static async open(): Promise<Gateway> {
    const gateway = new Gateway(await freePort(), mkdtempSync(join(tmpdir(), 'drydock-e2e-')));
    await gateway.start();
    return gateway;
  }

  /** `localhost`, so that the links of published ports (`*.direct.localhost`) are of the same site. */
  get url(): string {
    return `http://localhost:${this.port}`;
  }

  /** Starts, or starts again over what an earlier process left. */
  async start(): Promise<void> {
    mkdirSync(ARTIFACTS, { recursive: true });
    const log = openSync(join(ARTIFACTS, 'gateway.log'), 'a');
    const data = join(this.folder, 'data');
    const args = ['serve', '--listen', `127.0.0.1:${this.port}`, '--data-dir', data];
    this.process = spawn(join(DIST, 'bin/drydock'), args, { stdio: ['ignore', log, log] });
    closeSync(log);
    await this.answers(this.process);
  }

  /** `kill -9`: nothing is said goodbye to. */
  async kill(): Promise<void> {
    const running = this.process;
    if (!running || running.exitCode !== null) return;
    running.kill('SIGKILL');
    await once(running, 'exit');
  }

  /** Ends it with all its nodes and data. */
  async close(): Promise<void> {
    await this.kill();
    execFileSync(join(DIST, 'bin/drydock'), ['reset', '--data-dir', join(this.folder, 'data')]);
    rmSync(this.folder, { recursive: true });
  }

  /** The first start unpacks the node image. */
  private async answers(process: ChildProcess): Promise<void> {
    for (const end = Date.now() + 300_000; Date.now() < end; ) {
      if (process.exitCode !== null) throw new Error(`drydock serve ended with ${process.exitCode}: see artifacts/gateway.log`);
      const ping = await fetch(`http://127.0.0.1:${this.port}/ping`).catch(() => undefined);
      if (ping?.ok) return;
      await new Promise((wake) => setTimeout(wake, 50));
    }
    throw new Error('drydock serve did not answer in time: see artifacts/gateway.log');
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
