import { UsageError, zooNames } from '@dgconv/core';
import { InvalidArgumentError, Option, type Command } from 'commander';

/** Options that every command has. */
export interface CommonOptions {
  readonly json?: boolean;
  readonly quiet?: boolean;
}

/** A whole number in a range. */
export const integer =
  (least: number, most = Number.MAX_SAFE_INTEGER) =>
  (text: string): number => {
    const value = Number(text);
    if (!/^[+-]?\d+$/.test(text) || value < least || value > most)
      throw new InvalidArgumentError(
        most === Number.MAX_SAFE_INTEGER
          ? `It must be a whole number of at least ${least}.`
          : `It must be a whole number from ${least} to ${most}.`,
      );
    return value;
  };

/** A finite number of at least `least`. */
export const numberFrom =
  (least: number) =>
  (text: string): number => {
    const value = Number(text);
    if (text.trim() === '' || !Number.isFinite(value) || value < least)
      throw new InvalidArgumentError(`It must be a number of at least ${least}.`);
    return value;
  };

/** Some of the choices, separated by commas, each once. */
export const listOf =
  <T extends string>(choices: readonly T[]) =>
  (text: string): T[] => {
    const parts = text.split(',').map((part) => part.trim());
    const unknown = parts.find((part) => !(choices as readonly string[]).includes(part));
    if (unknown !== undefined) throw new InvalidArgumentError(`'${unknown}' is not one of ${choices.join(', ')}.`);
    return [...new Set(parts)] as T[];
  };

/** `C,H,W` in pixels. */
export const inputShape = (text: string): readonly [number, number, number] => {
  const parts = text.split(',').map((part) => integer(1, 65_536)(part.trim()));
  if (parts.length !== 3) throw new InvalidArgumentError('It must be three numbers C,H,W, such as 3,224,224.');
  return parts as [number, number, number];
};

/** What a budget limits. */
export const budgetKinds = ['b', 'zeta', 'macs', 'params', 'ms'] as const;
export interface BudgetOption {
  readonly kind: (typeof budgetKinds)[number];
  readonly value: number;
}

/** `b=32`, `macs=1e6`, …: what is limited, and how far. */
export const budget = (text: string): BudgetOption => {
  const match = /^(\w+)=(.+)$/.exec(text);
  const kind = budgetKinds.find((name) => name === match?.[1]);
  const value = Number(match?.[2]);
  if (kind === undefined || !Number.isFinite(value) || value <= 0)
    throw new InvalidArgumentError(`It must be ${budgetKinds.join('|')}=NUMBER with a number above 0, such as b=32.`);
  return { kind, value };
};

/** One or more different budgets, separated by commas. */
export const budgets = (text: string): BudgetOption[] => {
  const all = text.split(',').map((part) => budget(part.trim()));
  const twice = all.find(({ kind, value }, at) =>
    all.slice(0, at).some((other) => other.kind === kind && other.value === value),
  );
  if (twice !== undefined) throw new InvalidArgumentError(`${twice.kind}=${twice.value} stands there twice.`);
  return all;
};

/** `i/n`: the i-th of n parts of the work. */
export interface Shard {
  readonly index: number;
  readonly count: number;
}

/** `2/4`, from `1/4` to `4/4`. */
export const shard = (text: string): Shard => {
  const [index, count] = text.split('/').map(Number);
  if (!/^\d+\/\d+$/.test(text) || index! < 1 || index! > count!)
    throw new InvalidArgumentError('It must be I/N with I from 1 to N, such as 2/4.');
  return { index: index!, count: count! };
};

/** A name of the zoo. */
export const zooName = (text: string): string => {
  if (!zooNames.includes(text))
    throw new InvalidArgumentError(`There is no such model; the zoo has ${zooNames.join(', ')}.`);
  return text;
};

/** A name of the zoo, or a path to an ONNX file. @throws {UsageError} if it is neither. */
export const checkModel = (model: string): void => {
  if (!model.endsWith('.onnx') && !zooNames.includes(model))
    throw new UsageError(`there is no model '${model}': give an .onnx file or one of ${zooNames.join(', ')}`);
};

/** Adds `--json` and `--quiet`. */
export const withCommonOptions = (command: Command): Command =>
  command
    .addOption(new Option('--json', 'one JSON document on stdout'))
    .addOption(new Option('--quiet', 'no tables and no progress'));

/** Options that say which network a checkpoint without an architecture belongs to. */
export interface SourceOptions {
  readonly arch?: string;
  readonly archConfig?: string;
  readonly inputShape?: readonly [number, number, number];
}

/** Adds `--arch`, `--arch-config` and `--input-shape`. */
export const withSourceOptions = (command: Command): Command =>
  command
    .addOption(
      new Option('--arch <name>', 'network of the zoo that a checkpoint belongs to')
        .argParser(zooName)
        .conflicts('archConfig'),
    )
    .option('--arch-config <file>', 'architecture of a checkpoint (JSON)')
    .addOption(new Option('--input-shape <C,H,W>', 'input size, where no file says it').argParser(inputShape));

/** Adds the heading "Examples" to a command's help. */
export const withExamples = (command: Command, lines: readonly string[]): Command =>
  command.addHelpText('after', `\nExamples:\n${lines.map((line) => `  $ ${line}`).join('\n')}\n`);
