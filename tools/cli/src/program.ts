import { Command } from 'commander';
import { createRequire } from 'node:module';
import { addBenchCommand } from './commands/bench.js';
import { addCompileCommand } from './commands/compile.js';
import { addConformanceCommand } from './commands/conformance.js';
import { addDataCommand } from './commands/data.js';
import { addDoctorCommand } from './commands/doctor.js';
import { addInspectCommand } from './commands/inspect.js';
import { addReportCommand } from './commands/report.js';
import { addRunCommand } from './commands/run.js';
import { addTrainCommand } from './commands/train.js';
import { addVerifyCommand } from './commands/verify.js';
import { mpiLaunch } from './mpi-launch.js';
import { withExamples } from './options.js';

const { version, description } = createRequire(import.meta.url)('../../package.json') as {
  version: string;
  description: string;
};

/** The command line: every command with its flags; each loads what it needs only when it runs. */
export const createProgram = (): Command => {
  const program = new Command('dgconv')
    .description(description)
    .version(version)
    .exitOverride()
    .showSuggestionAfterError()
    .helpCommand(false)
    .configureOutput((mpiLaunch()?.rank ?? 0) > 0 ? { writeOut: () => undefined, writeErr: () => undefined } : {})
    .configureHelp({ showGlobalOptions: false, helpWidth: 110 });
  withExamples(program, [
    'dgconv train --model g_resnet_mnist --budget b=32 --epochs 2 --out runs/mnist',
    'dgconv compile runs/mnist --out build/mnist --name mnist',
    'dgconv verify build/mnist/mnist.onnx build/mnist/mnist.tflite build/mnist/mnist.edge --reference runs/mnist',
  ]);
  for (const add of [
    addTrainCommand,
    addCompileCommand,
    addRunCommand,
    addVerifyCommand,
    addBenchCommand,
    addConformanceCommand,
    addInspectCommand,
    addReportCommand,
    addDataCommand,
    addDoctorCommand,
  ])
    add(program);
  return program;
};
