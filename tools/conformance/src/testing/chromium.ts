import type { Runtime, RuntimeTensor } from '@dgconv/runtimes';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import type { EnginePage } from './engine-page.js';

const executable = process.env['CHROMIUM'] ?? '/usr/bin/chromium';

/** Null if there is a Chromium; otherwise why not, and how to get it. */
export const whyNoChromium = (): string | null =>
  existsSync(executable) ? null : `there is no ${executable}; get it by: Debian's package chromium`;

const folderOf = (specifier: string, up: string): string => fileURLToPath(new URL(up, import.meta.resolve(specifier)));

/** Folders by the first part of a URL: the packages as they are built, no bundler in between. */
const served: Readonly<Record<string, string>> = {
  core: folderOf('@dgconv/core', '.'),
  'runtime-edge': folderOf('@dgconv/runtime-edge', '..'),
  'onnxruntime-common': folderOf('onnxruntime-common', '.'),
  testing: fileURLToPath(new URL('.', import.meta.url)),
};

const document = `<!doctype html>
<script type="importmap">${JSON.stringify({
  imports: {
    '@dgconv/core': '/core/index.js',
    '@dgconv/runtime-edge': '/runtime-edge/src/index.js',
    'onnxruntime-common': '/onnxruntime-common/index.js',
  },
})}</script>
<script type="module" src="/testing/engine-page.js"></script>`;

const types: Readonly<Record<string, string>> = { '.js': 'text/javascript', '.wasm': 'application/wasm' };

/** Serves the packages on the loopback interface. */
async function serve(): Promise<{ address: string; close: () => void }> {
  const server = createServer((request, response) => {
    const [, folder = '', ...rest] = normalize(new URL(request.url!, 'http://localhost').pathname).split('/');
    if (folder === '') {
      response.setHeader('content-type', 'text/html').end(document);
      return;
    }
    const root = served[folder];
    const type = types[extname(request.url!)];
    if (root === undefined || type === undefined) {
      response.writeHead(404).end();
      return;
    }
    readFile(join(root, ...rest)).then(
      (bytes) => response.setHeader('content-type', type).end(bytes),
      () => response.writeHead(404).end(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

declare const engine: EnginePage; // in the page

/** How long a step of the browser may take on a machine that is busy with something else. */
const patienceMs = 300_000;

const textOf = ({ buffer, byteOffset, byteLength }: Uint8Array | Float32Array): string =>
  Buffer.from(buffer, byteOffset, byteLength).toString('base64');
const floatsOf = (text: string): Float32Array => new Float32Array(Uint8Array.from(Buffer.from(text, 'base64')).buffer);

/** The engine in a page of a real Chromium, as a runtime. */
export async function startChromium(): Promise<{
  runtime: Runtime;
  version: string;
  /** How many workers the page has started. */
  workers: () => number;
  close: () => Promise<void>;
}> {
  const { address, close: closeServer } = await serve();
  const profile = mkdtempSync(join(tmpdir(), 'dgconv-chromium-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: executable,
    headless: true,
    timeout: patienceMs,
    args: [
      ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'],
      ...['--disable-component-update', '--disable-sync'],
    ],
  });
  context.setDefaultTimeout(patienceMs);
  const page = await context.newPage();
  const errors: string[] = [];
  let workers = 0;
  page.on('worker', () => workers++);
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  await page.goto(address);
  await page.waitForFunction('globalThis.engine !== undefined').catch((error: unknown) => {
    throw new Error(`the page does not load the engine: ${errors.join('; ')}`, { cause: error });
  });
  const version = context.browser()?.version() ?? 'unknown';
  const runtime: Runtime = {
    name: 'edge-wasm',
    formats: ['edge'],
    describe: () => Promise.resolve(`dgconv engine, WebAssembly in Chromium ${version}`),
    whyUnavailable: () => Promise.resolve(whyNoChromium()),
    async load(bytes) {
      const { id, inputs, outputs } = await page.evaluate((text) => engine.load(text), textOf(bytes));
      const run = async (feeds: Readonly<Record<string, Float32Array>>) => {
        const texts = Object.fromEntries(Object.entries(feeds).map(([name, values]) => [name, textOf(values)]));
        const results = await page.evaluate(([at, given]) => engine.run(at, given), [id, texts] as const);
        return Object.fromEntries(
          outputs.map(({ name, shape }): [string, RuntimeTensor] => [name, { shape, data: floatsOf(results[name]!) }]),
        );
      };
      return {
        inputs,
        outputs,
        run,
        bind: (feeds) => async () => void (await run(feeds)),
        dispose: () => page.evaluate((at) => engine.dispose(at), id),
      };
    },
  };
  return {
    runtime,
    version,
    workers: () => workers,
    async close() {
      await context.close();
      closeServer();
      rmSync(profile, { recursive: true, force: true });
    },
  };
}
