import cliProgress from 'cli-progress';

/** A part of the work and how many seconds it takes on a small machine; only the proportions matter. */
export interface Stage {
  readonly name: string;
  readonly seconds: number;
}

const lineEveryMs = 5000;

/**
 * One bar over several stages. What remains is told from what was measured: elapsed time over the share that is done.
 * On a terminal a bar, elsewhere a line every five seconds.
 */
export class StageProgress {
  readonly #startedAt = performance.now();
  readonly #bar: cliProgress.SingleBar | null;
  #lastLineAt = 0;

  constructor(readonly stages: readonly Stage[]) {
    this.#bar = process.stderr.isTTY
      ? new cliProgress.SingleBar({
          format: '{bar} {percentage}% {left} │ {note}',
          barCompleteChar: '█',
          barIncompleteChar: '░',
          barsize: 30,
          stream: process.stderr,
          hideCursor: true,
          clearOnComplete: true,
          linewrap: false,
        })
      : null;
    this.#bar?.start(1000, 0, { left: '', note: '' });
  }

  /** Seconds since the start. */
  get elapsed(): number {
    return (performance.now() - this.#startedAt) / 1000;
  }

  /** @param share - of the stage, from 0 to 1. */
  update(name: string, share: number, note = ''): void {
    const at = this.stages.findIndex((stage) => stage.name === name);
    const seconds = (stages: readonly Stage[]): number => stages.reduce((sum, stage) => sum + stage.seconds, 0);
    const done = (seconds(this.stages.slice(0, at)) + share * this.stages[at]!.seconds) / seconds(this.stages);
    const left = done < 0.02 ? '' : `${Math.ceil((this.elapsed / done) * (1 - done))} s left`;
    const text = note === '' ? name : `${name}: ${note}`;
    if (this.#bar !== null) this.#bar.update(Math.floor(1000 * done), { left, note: text });
    else if (share === 0 || performance.now() - this.#lastLineAt > lineEveryMs) {
      this.#lastLineAt = performance.now();
      process.stderr.write(
        `${String(Math.floor(100 * done)).padStart(3)} % ${text}${left === '' ? '' : ` (${left})`}\n`,
      );
    }
  }

  stop(): void {
    this.#bar?.stop();
  }
}
