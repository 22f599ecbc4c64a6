import { runtimes } from '@dgconv/runtimes';
import type { Command } from 'commander';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { arch, cpus, platform } from 'node:os';
import { dataSets } from '../data-sets.js';
import { withCommonOptions, withExamples, type CommonOptions } from '../options.js';
import { createConsole, paint } from '../terminal/console.js';

/** One thing that is there or not; `detail` is a version, or why it is missing and how to get it. */
interface Finding {
  readonly kind: 'platform' | 'runtime' | 'backend' | 'tool' | 'data';
  readonly name: string;
  readonly present: boolean;
  readonly detail: string;
}

/** CPU features that our kernels are compiled for. */
const kernelFeatures = ['sse4_1', 'avx2', 'fma', 'avx512f', 'asimd'];

const cpuFinding = (): Finding => {
  const name = cpus()[0]?.model ?? arch();
  const info = existsSync('/proc/cpuinfo') ? readFileSync('/proc/cpuinfo', 'utf8') : '';
  const flags = new Set(/^(?:flags|Features)\s*:\s*(.*)$/m.exec(info)?.[1]?.split(' ') ?? []);
  const features = kernelFeatures.filter((feature) => flags.has(feature));
  return {
    kind: 'platform',
    name: `${name}, ${cpus().length} threads`,
    present: true,
    detail: features.length > 0 ? features.join(' ') : 'features unknown',
  };
};

/** How the engine runs on this platform. */
const platformFinding = (): Finding => {
  const name = `${platform()} ${arch()}, Node ${process.versions.node}`;
  const isGlibc =
    platform() === 'linux' &&
    'glibcVersionRuntime' in ((process.report.getReport() as { header?: object }).header ?? {});
  const isNative = isGlibc && (arch() === 'x64' || arch() === 'arm64');
  return {
    kind: 'platform',
    name,
    present: true,
    detail: isNative
      ? 'native engine (linux x64 and arm64 with glibc)'
      : 'WebAssembly engine (the native one is for linux x64 and arm64 with glibc)',
  };
};

const toolFinding = (command: string, args: readonly string[], without: string): Finding => {
  const { status, stdout } = spawnSync(command, args, { encoding: 'utf8', timeout: 5000 });
  return {
    kind: 'tool',
    name: command,
    present: status === 0,
    detail: status === 0 ? stdout.split('\n')[0]! : without,
  };
};

const runtimeFindings = (): Promise<Finding[]> =>
  Promise.all(
    runtimes.map(async (runtime): Promise<Finding> => {
      const missing = await runtime.whyUnavailable();
      const detail = missing ?? (await runtime.describe());
      return { kind: 'runtime', name: runtime.name, present: missing === null, detail };
    }),
  );

const backendFindings = async (): Promise<Finding[]> => {
  const { findBackends } = await import('@dgconv/trainer');
  const { available, missing } = await findBackends();
  return [
    ...available.map((name): Finding => ({ kind: 'backend', name, present: true, detail: 'trains' })),
    ...missing.map(({ name, reason }): Finding => ({ kind: 'backend', name, present: false, detail: reason })),
  ];
};

const mpiFinding = async (): Promise<Finding> => {
  const { whyNoMpi } = await import('@dgconv/trainer');
  const missing = whyNoMpi();
  return {
    kind: 'tool',
    name: 'training over MPI',
    present: missing === null,
    detail: missing ?? 'the addon is built',
  };
};

const doctor = async (options: CommonOptions): Promise<void> => {
  const console = createConsole(options);
  const findings: Finding[] = [
    platformFinding(),
    cpuFinding(),
    ...(await runtimeFindings()),
    ...(await backendFindings()),
    toolFinding(
      process.env['CXX'] ?? 'g++',
      ['--version'],
      'no C++ compiler: the WebAssembly engine serves; install g++, then npm run prepare',
    ),
    toolFinding(
      'mpirun',
      ['--version'],
      'no MPI: training runs on one machine; install openmpi-bin and libopenmpi-dev',
    ),
    await mpiFinding(),
    ...dataSets.map((set): Finding => {
      const missing = set.whyMissing();
      return { kind: 'data', name: set.name, present: missing === null, detail: missing ?? set.description };
    }),
  ];
  let kind = '';
  for (const finding of findings) {
    if (finding.kind !== kind) console.say(`${kind === '' ? '' : '\n'}${paint('bold', finding.kind)}`);
    kind = finding.kind;
    const mark = finding.present ? paint('green', '✓') : paint('yellow', '–');
    console.say(`  ${mark} ${finding.name}: ${finding.detail}`);
  }
  console.result({ findings });
};

/** `dgconv doctor`: what is present on this machine, and how to get the rest. */
export const addDoctorCommand = (program: Command): void => {
  const command = program
    .command('doctor')
    .description('runtimes, training backends, CPU features and data sets that are present')
    .action(doctor);
  withCommonOptions(command);
  withExamples(command, ['dgconv doctor', 'dgconv doctor --json']);
};
