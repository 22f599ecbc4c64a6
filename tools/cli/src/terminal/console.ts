import cliProgress from 'cli-progress';
import { mpiLaunch } from '../mpi-launch.js';

/** Where a command's words go: stdout holds one JSON document or nothing, everything else is for people, on stderr. */
export interface Console {
  /** A line for people; nothing with `--quiet`. */
  say(text: string): void;
  /** A line that `--quiet` does not silence. */
  warn(text: string): void;
  /** The command's result: printed on stdout with `--json`. */
  result(document: object): void;
  /** A bar on stderr, shown once the work has taken two seconds. */
  progress(label: string, total: number): Progress;
}

/** A running progress display. */
export interface Progress {
  update(done: number, note?: string): void;
  stop(): void;
}

const silent: Progress = { update: () => undefined, stop: () => undefined };
const patienceMs = 2000;
const lineEveryMs = 10_000;

/** Bars on a terminal; where stderr is a file or a pipe, a line every ten seconds. */
const startProgress = (label: string, total: number): Progress => {
  const startedAt = Date.now();
  const bar = new cliProgress.SingleBar({
    format: `${label} {bar} {percentage}% {note}`,
    barCompleteChar: '█',
    barIncompleteChar: '░',
    barsize: 30,
    stream: process.stderr,
    hideCursor: true,
    clearOnComplete: true,
  });
  let shown = false;
  let lastLine = startedAt;
  return {
    update(done, note = '') {
      const now = Date.now();
      if (now - startedAt < patienceMs) return;
      if (!process.stderr.isTTY) {
        if (now - lastLine < lineEveryMs) return;
        lastLine = now;
        process.stderr.write(`${label}: ${Math.floor((100 * done) / total)} % ${note}\n`);
      } else if (shown) bar.update(done, { note });
      else {
        shown = true;
        bar.start(total, done, { note });
      }
    },
    stop() {
      if (shown) bar.stop();
    },
  };
};

const mute: Console = { say: () => undefined, warn: () => undefined, result: () => undefined, progress: () => silent };

/** The console of one command; of several processes under MPI the first speaks. */
export const createConsole = (options: { json?: boolean; quiet?: boolean }): Console =>
  (mpiLaunch()?.rank ?? 0) > 0 ? mute : consoleOf(options);

const consoleOf = ({ json = false, quiet = false }: { json?: boolean; quiet?: boolean }): Console => ({
  say(text) {
    if (!quiet) process.stderr.write(`${text}\n`);
  },
  warn(text) {
    process.stderr.write(`${text}\n`);
  },
  result(document) {
    if (json) process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
  },
  progress: (label, total) => (quiet ? silent : startProgress(label, total)),
});

const colours = { red: 31, green: 32, yellow: 33, bold: 1 } as const;

/** Coloured text where stderr is a terminal and NO_COLOR is not set. */
export const paint = (colour: keyof typeof colours, text: string): string =>
  process.stderr.isTTY && !process.env['NO_COLOR'] ? `\u001b[${colours[colour]}m${text}\u001b[0m` : text;
