import { InvalidInputError, UsageError } from '@dgconv/core';
import { Argument, type Command } from 'commander';
import { dataSets } from '../data-sets.js';
import { withCommonOptions, withExamples, type CommonOptions } from '../options.js';
import { createConsole } from '../terminal/console.js';
import { formatTable } from '../terminal/table.js';

const list = (options: CommonOptions): void => {
  const console = createConsole(options);
  const rows = dataSets.map((set) => ({ ...set, present: set.whyMissing() === null }));
  console.say(
    formatTable(
      ['name', 'present', 'what', 'from', 'how to get it'],
      rows.map((set) => [set.name, set.present ? 'yes' : 'no', set.description, set.source, set.get]),
    ),
  );
  console.say('\nA folder of IDX files (also gzipped) is given as --data idx:FOLDER.');
  console.result({
    dataSets: rows.map(({ name, present, description, source, get }) => ({ name, present, description, source, get })),
  });
};

/** Nothing is downloaded by us: packages are what their managers install. */
const get = (name: string, options: CommonOptions): void => {
  const console = createConsole(options);
  const set = dataSets.find((each) => each.name === name);
  if (set === undefined) throw new UsageError(`there is no data set '${name}'`);
  const missing = set.whyMissing();
  if (missing !== null) throw new InvalidInputError(`${name} is not here: ${missing}; get it by: ${set.get}`);
  console.say(`${name} is here: ${set.description}, from the ${set.source}`);
  console.result({ name, present: true });
};

/** `dgconv data list` and `dgconv data get`. */
export const addDataCommand = (program: Command): void => {
  const command = program.command('data').description('data sets, where they come from, how to get them');
  const names = dataSets.map(({ name }) => name);
  withCommonOptions(command.command('list').description('the data sets known by name')).action(list);
  withCommonOptions(
    command
      .command('get')
      .description('says whether a data set is here, else how to get it')
      .addArgument(new Argument('<name>').choices(names)),
  ).action(get);
  for (const sub of command.commands)
    withExamples(sub, [`dgconv data ${sub.name()}${sub.name() === 'get' ? ' mnist' : ''}`]);
  withExamples(command, ['dgconv data list', 'dgconv data get mnist']);
};
