import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { InvalidInputError } from './errors.js';
import { readModel, writeModel } from './graph/model-file.js';
import { makeFolder, openByteSource, readTextFile, writeFileAtomically } from './node.js';
import { randomModel } from './testing/random-model.js';

const folder = mkdtempSync(join(tmpdir(), 'dgconv-core-'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

test('a model file on disk is read lazily and holds what was written', (t) => {
  const path = join(folder, 'model.safetensors');
  const model = randomModel(7);
  writeFileAtomically(path, writeModel(model));
  const file = openByteSource(path);
  t.is(file.size, readFileSync(path).length);
  const back = readModel(file);
  for (const name of model.weights.names) t.deepEqual(back.weights.read(name), model.weights.read(name));
});

test('a file whose writing fails half way leaves the old one and nothing else', (t) => {
  const path = join(folder, 'absent', 'kept.bin');
  writeFileSync(join(folder, 'kept.bin'), 'old');
  const before = readdirSync(folder);
  const failing = function* (): Generator<Uint8Array> {
    yield Uint8Array.of(1, 2, 3);
    throw new Error('internal: no more chunks');
  };
  t.throws(() => writeFileAtomically(join(folder, 'kept.bin'), failing()), { message: 'internal: no more chunks' });
  t.is(readTextFile(join(folder, 'kept.bin')), 'old');
  t.deepEqual(readdirSync(folder), before);
  t.throws(() => writeFileAtomically(path, []), {
    instanceOf: InvalidInputError,
    message: `${path} cannot be written (ENOENT)`,
  });
});

test('files that cannot be read, and ranges outside of them, are refused with the path', (t) => {
  const absent = join(folder, 'absent');
  t.throws(() => openByteSource(absent), {
    instanceOf: InvalidInputError,
    message: `${absent} cannot be read (ENOENT)`,
  });
  t.throws(() => openByteSource(folder), { instanceOf: InvalidInputError, message: `${folder} is not a file` });
  t.throws(() => readTextFile(absent), { instanceOf: InvalidInputError });
  const path = join(folder, 'three');
  writeFileSync(path, 'abc');
  t.deepEqual([...openByteSource(path).read(1, 2)], [98, 99]);
  t.throws(() => openByteSource(path).read(2, 2), {
    message: `${path}: bytes 2 to 4 are asked for, but the file ends at 3`,
  });
});

test('a folder is made with those that it lies in, and one that is there is left alone', (t) => {
  const path = join(folder, 'a', 'b', 'c');
  makeFolder(path);
  makeFolder(path);
  t.true(existsSync(path));
});

test('a folder that cannot be made is an error, not an endless wait', (t) => {
  const file = join(folder, 'a-file');
  writeFileSync(file, '');
  t.throws(() => makeFolder(join(file, 'below')), { code: 'ENOTDIR' });
  t.throws(() => makeFolder(file), { code: 'EEXIST' });
  if (process.platform === 'linux') t.throws(() => makeFolder('/proc/nope/below'), { code: 'ENOENT' });
});
