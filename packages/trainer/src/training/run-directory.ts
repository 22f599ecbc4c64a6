import { appendFileSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { InvalidInputError } from '@dgconv/core';
import { makeFolder, readTextFile, writeFileAtomically } from '@dgconv/core/node';

/** One line of `metrics.jsonl`; accuracies in [0, 1]. */
export interface EpochMetrics {
  /** From 1. */
  readonly epoch: number;
  /** Steps done since the start. */
  readonly step: number;
  readonly loss: number;
  readonly trainAccuracy: number;
  readonly validationAccuracy: number;
  /** Connections of the learned convolutions. */
  readonly zeta: number;
  /** What the budget limits, in its unit; null without a budget. */
  readonly cost: number | null;
  readonly budget: number | null;
  readonly budgetMet: boolean | null;
  readonly learningRate: number;
  readonly seconds: number;
  /** Only in the last line: of the saved model, whose `zeta`, `cost` and `budgetMet` the line then has. */
  readonly testAccuracy?: number;
}

/** One line of `gates.jsonl`: raw gates by layer. */
export interface GateRecord {
  readonly step: number;
  readonly zeta: number;
  readonly gates: Readonly<Record<string, readonly number[]>>;
}

/** A run directory, the unit of exchange between training, compiler and report; of several processes one writes it. */
export class RunDirectory {
  readonly path: string;
  /** Whether anything is written; for others than the writer every write does nothing. */
  readonly isWriter: boolean;

  /** @throws {InvalidInputError} if the folder cannot be made. */
  constructor(path: string, isWriter = true) {
    this.path = path;
    this.isWriter = isWriter;
    if (!isWriter) return;
    try {
      makeFolder(join(path, 'checkpoints'));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new InvalidInputError(`${path}: the run directory cannot be made: ${reason}`, { cause: error });
    }
  }

  /** Path of a file in the directory. */
  file(...name: string[]): string {
    return join(this.path, ...name);
  }

  has(...name: string[]): boolean {
    return existsSync(this.file(...name));
  }

  /** Writes a file in full or not at all. @throws {InvalidInputError} if it cannot be written. */
  write(name: readonly string[], chunks: () => Iterable<Uint8Array>): void {
    if (this.isWriter) writeFileAtomically(this.file(...name), chunks());
  }

  writeJson(name: string, value: unknown): void {
    this.write([name], () => [new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`)]);
  }

  /** @throws {InvalidInputError} if the file is missing or no JSON. */
  readJson(name: string): unknown {
    const text = readTextFile(this.file(name));
    try {
      return JSON.parse(text);
    } catch (error) {
      throw new InvalidInputError(`${this.file(name)} is no JSON`, { cause: error });
    }
  }

  append(name: 'metrics.jsonl' | 'gates.jsonl', record: EpochMetrics | GateRecord): void {
    if (this.isWriter) appendFileSync(this.file(name), `${JSON.stringify(record)}\n`);
  }

  /** Starts a log over, or keeps the lines that a resumed run has behind it. */
  restartLog(name: 'metrics.jsonl' | 'gates.jsonl', lastStep: number): void {
    if (!this.isWriter) return;
    const lines = lastStep > 0 && this.has(name) ? readTextFile(this.file(name)).split('\n') : [];
    const kept = lines.filter((line) => line !== '' && stepOf(line) <= lastStep);
    writeFileSync(this.file(name), kept.map((line) => `${line}\n`).join(''));
  }
}

/** The step of a line of a log; a line that was cut off while it was written belongs to no step that is kept. */
function stepOf(line: string): number {
  try {
    return (JSON.parse(line) as { step: number }).step;
  } catch {
    return Infinity;
  }
}
