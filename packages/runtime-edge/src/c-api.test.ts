import { GraphBuilder, mapSource } from '@dgconv/core';
import test from 'ava';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { encodeEdge } from './edge-encode.js';

const sdk = fileURLToPath(new URL('../native/sdk', import.meta.url));
const compiler = process.env['CC'] ?? 'cc';
const why =
  spawnSync(compiler, ['--version']).status !== 0
    ? ` (there is no ${compiler})`
    : existsSync(sdk)
      ? ''
      : ' (there is no static library)';
const testHere = why === '' ? test : test.skip;

/** y = relu(x) on [1, 2, 2, 1], with a test vector: the right one, or a wrong one. */
function file(isRight = true): Uint8Array {
  const builder = new GraphBuilder({ name: 'small' });
  const graph = builder.build([{ name: 'y', value: builder.relu('y', builder.input('x', [1, 2, 2, 1])) }]);
  const y = Float32Array.of(0, 2, 0, isRight ? 4 : 5);
  const testVectors = [{ inputs: { x: Float32Array.of(-1, 2, -3, 4) }, outputs: { y } }];
  return encodeEdge({ graph, weights: mapSource(new Map()) }, { testVectors });
}

/** Says a line for each call: its status and the message. */
const program = `
#include <dgconv_edge.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char message[256];
static void say(const char* call, dgc_status status) {
  printf("%s: %d %s\\n", call, (int)status, message);
  strcpy(message, "stale");
}

int main(void) {
  dgc_session* session = (dgc_session*)&session;
  dgc_options options;
  dgc_tensor_info info;
  float x[16] = {-1, 2, -3, 4, 5, -6, 7, -8};
  float y[16] = {0};
  const float* inputs[1];
  float* outputs[1];
  uint64_t times[1], compared = 99;
  double error = 99;
  char little[8];
  inputs[0] = x;
  outputs[0] = y;
  memset(&options, 0, sizeof options);
  strcpy(message, "stale");

  say("null path", dgc_session_load_file(NULL, NULL, &session, message, sizeof message));
  printf("session is null: %d\\n", session == NULL);
  say("no file", dgc_session_load_file("none.edge", NULL, &session, message, sizeof message));
  say("folder", dgc_session_load_file(".", NULL, &session, message, sizeof message));
  say("null session", dgc_session_load_file("right.edge", NULL, NULL, message, sizeof message));
  say("no message", dgc_session_load_file("none.edge", NULL, &session, NULL, 0));
  printf("cut: %d", (int)dgc_session_load_file("none.edge", NULL, &session, little, sizeof little));
  printf(" '%s'\\n", little);
  say("null bytes", dgc_session_load(NULL, 64, NULL, &session, message, sizeof message));
  say("no bytes", dgc_session_load(NULL, 0, NULL, &session, message, sizeof message));
  say("broken", dgc_session_load_file("broken.edge", NULL, &session, message, sizeof message));
  say("newer", dgc_session_load_file("newer.edge", NULL, &session, message, sizeof message));
  options.threads = -1;
  say("threads", dgc_session_load_file("right.edge", &options, &session, message, sizeof message));
  options.threads = 0;
  options.max_batch = -1;
  say("batch", dgc_session_load_file("right.edge", &options, &session, message, sizeof message));
  options.max_batch = 2;
  options.isa = "mmx";
  printf("isa: %d\\n", (int)dgc_session_load_file("right.edge", &options, &session, NULL, 0));
  options.isa = "scalar";
  options.memory_limit = 1;
  printf("memory: %d\\n", (int)dgc_session_load_file("large.edge", &options, &session, NULL, 0));
  options.memory_limit = 0;
  say("load", dgc_session_load_file("right.edge", &options, &session, message, sizeof message));
  printf("%d inputs, %d outputs\\n", (int)dgc_session_input_count(session), (int)dgc_session_output_count(session));
  printf("input -1: %d, 1: %d, null: %d\\n", (int)dgc_session_input(session, -1, &info), (int)dgc_session_input(session, 1, &info), (int)dgc_session_input(session, 0, NULL));
  printf("output: %d", (int)dgc_session_output(session, 0, &info));
  printf(" %s [%d,%d,%d,%d] %d\\n", info.name, (int)info.dims[0], (int)info.dims[1], (int)info.dims[2], (int)info.dims[3], (int)info.elements);
  say("batch 0", dgc_session_run(session, 0, inputs, outputs, message, sizeof message));
  say("batch 3", dgc_session_run(session, 3, inputs, outputs, message, sizeof message));
  say("no inputs", dgc_session_run(session, 1, NULL, outputs, message, sizeof message));
  say("no outputs", dgc_session_run(session, 1, inputs, NULL, message, sizeof message));
  inputs[0] = NULL;
  say("null input", dgc_session_run(session, 1, inputs, outputs, message, sizeof message));
  inputs[0] = x;
  outputs[0] = NULL;
  say("null output", dgc_session_run(session, 1, inputs, outputs, message, sizeof message));
  outputs[0] = y;
  dgc_session_profile(session, 1);
  say("run", dgc_session_run(session, 2, inputs, outputs, message, sizeof message));
  printf("%g %g %g %g %g %g %g %g\\n", y[0], y[1], y[2], y[3], y[4], y[5], y[6], y[7]);
  printf("%d times, %d times\\n", (int)dgc_session_step_times(session, times, 1), (int)dgc_session_step_times(session, NULL, 9));
  printf("plan: %.14s\\n", dgc_session_plan(session));
  dgc_session_destroy(session);

  say("null run", dgc_session_run(NULL, 1, inputs, outputs, message, sizeof message));
  printf("null: %d %d %d %d %d '%s'\\n", (int)dgc_session_input_count(NULL), (int)dgc_session_output_count(NULL), (int)dgc_session_input(NULL, 0, &info),
         (int)dgc_session_output(NULL, 0, &info), (int)dgc_session_step_times(NULL, times, 1), dgc_session_plan(NULL));
  dgc_session_profile(NULL, 1);
  dgc_session_destroy(NULL);

  say("selftest", dgc_selftest_file("right.edge", NULL, &error, &compared, message, sizeof message));
  printf("%g of %d\\n", error, (int)compared);
  say("wrong selftest", dgc_selftest_file("wrong.edge", NULL, NULL, NULL, message, sizeof message));
  say("no vectors", dgc_selftest_file("large.edge", NULL, &error, NULL, message, sizeof message));
  say("null selftest", dgc_selftest_file(NULL, NULL, &error, &compared, message, sizeof message));
  return 0;
}
`;

const expected = [
  'null path: 3 path must not be null',
  'session is null: 1',
  'no file: 5 none.edge: No such file or directory',
  'folder: 5 .: not a regular file',
  'null session: 3 session and bytes must not be null',
  'no message: 5 stale',
  "cut: 5 'none.ed'",
  'null bytes: 3 session and bytes must not be null',
  "no bytes: 1 the file has 0 bytes, fewer than a .edge header's 64",
  /^broken: 1 the checksum is \w+ but the header says \w+: the file is damaged$/,
  'newer: 2 the file has version 2.0, this runtime reads 1.x',
  'threads: 3 threads is -1, allowed are 1 to 256',
  'batch: 3 maxBatch is -1, allowed are 1 to 65536',
  'isa: 3',
  'memory: 4',
  'load: 0 ',
  '1 inputs, 1 outputs',
  'input -1: 3, 1: 3, null: 3',
  'output: 0 y [1,2,2,1] 4',
  'batch 0: 3 the batch is 0, allowed are 1 to 2 (maxBatch)',
  'batch 3: 3 the batch is 3, allowed are 1 to 2 (maxBatch)',
  'no inputs: 3 session, inputs and outputs must not be null',
  'no outputs: 3 session, inputs and outputs must not be null',
  "null input: 3 input 'x' is missing",
  "null output: 3 output 'y' has no memory",
  'run: 0 ',
  '0 2 0 4 5 0 7 0',
  '1 times, 1 times',
  'plan: {"isa":"scalar',
  'null run: 3 session, inputs and outputs must not be null',
  "null: 0 0 3 3 0 ''",
  'selftest: 0 ',
  '0 of 4',
  /^wrong selftest: 1 test vector 0: value 3 of output 'y' is 4, expected 5/,
  'no vectors: 2 the file holds no test vectors',
  'null selftest: 3 path must not be null',
];

testHere(
  `every function of the C API says what a wrong call breaks, and none dies of a null pointer${why}`,
  async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'dgconv-c-'));
    const right = file();
    const broken = Uint8Array.from(right, (byte, index) => (index === right.length - 1 ? byte ^ 1 : byte));
    const newer = Uint8Array.from(right, (byte, index) => (index === 6 ? 2 : byte));
    const wide = new GraphBuilder({ name: 'large' });
    const pooled = wide.maxPool('pool', wide.input('x', [1, 64, 64, 16]), { kernelSize: 3, stride: 1, padding: 1 });
    const graph = wide.build([{ name: 'y', value: wide.globalAveragePool('mean', pooled) }]);
    const large = encodeEdge({ graph, weights: mapSource(new Map()) });
    for (const [name, bytes] of Object.entries({ right, wrong: file(false), broken, newer, large }))
      await writeFile(join(folder, `${name}.edge`), bytes);
    await writeFile(join(folder, 'main.c'), program);
    const run = (command: string, ...args: string[]) => spawnSync(command, args, { cwd: folder, encoding: 'utf8' });
    const strict = ['-std=c99', '-pedantic-errors', '-Wall', '-Wextra', '-Werror', `-I${join(sdk, 'include')}`];
    const built = run(
      compiler,
      'main.c',
      ...strict,
      join(sdk, 'lib/libdgconv_edge.a'),
      '-pthread',
      '-lm',
      '-o',
      'main',
    );
    t.is(built.status, 0, built.stderr);
    const { status, stdout } = run(join(folder, 'main'));
    t.is(status, 0, stdout);
    const lines = stdout.trimEnd().split('\n');
    for (const [index, line] of expected.entries()) {
      if (typeof line === 'string') t.is(`${lines[index]} `.trimEnd(), line.trimEnd());
      else t.regex(lines[index]!, line);
    }
    t.is(lines.length, expected.length);
  },
);

for (const [language, standard] of [
  ['c', 'gnu89'],
  ['c', 'c17'],
  ['c++', 'c++98'],
  ['c++', 'c++20'],
] as const) {
  testHere(`the header is ${standard}${why}`, (t) => {
    const args = ['-x', language, `-std=${standard}`, '-Wall', '-Wextra', '-Werror', '-fsyntax-only', '-'];
    const { status, stderr } = spawnSync(compiler, [...args, `-I${join(sdk, 'include')}`], {
      input: '#include <dgconv_edge.h>\nint use(void) { return DGC_OK; }\n',
      encoding: 'utf8',
    });
    t.is(status, 0, stderr);
  });
}
