import test from 'ava';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflatedZeros, safetensors, torchZip, zip } from './testing/hostile-bytes.js';
import { assertRefused } from './testing/limits.js';

const latin = (text: string): Buffer => Buffer.from(text, 'latin1');
const many = (text: string, count: number): Buffer => Buffer.alloc(count * text.length, latin(text));

/** A pickle of a state_dict with one tensor of this size and stride in a storage of `count` floats. */
const tensorPickle = (count: string, size: string, stride: string): Buffer =>
  latin(
    `\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\n` +
      `X\x01\x00\x00\x000X\x03\x00\x00\x00cpu${count}tQK\x00${size}\x85${stride}\x85\x89}tRs.`,
  );

/** Broken or hostile checkpoints: what their file is called and holds, and what is said of it. */
const checkpoints: Readonly<Record<string, readonly [name: string, bytes: () => Uint8Array, message: RegExp]>> = {
  'an empty file': ['x.pth', () => Buffer.alloc(0), /x\.pth/],
  'random bytes': ['x.pth', () => Buffer.from(Array.from({ length: 5000 }, (_, at) => (at * 7919) % 251)), /x\.pth/],
  'a zip archive that is cut off': ['x.pth', () => torchZip(many('N', 5000)).subarray(0, 3000), /truncated|end record/],
  'a zip bomb that says how large it is': [
    'x.pth',
    () => zip([{ name: 'a/data.pkl', data: deflatedZeros(64), deflated: true, claimedSize: 0xfffffff0 }]),
    /claims 4294967280 bytes/,
  ],
  'a zip bomb that hides its size': [
    'x.pth',
    () => zip([{ name: 'a/data.pkl', data: deflatedZeros(64), deflated: true, claimedSize: 1000 }]),
    /x\.pth/,
  ],
  'an archive without a pickle': ['x.pth', () => zip([{ name: '../../etc/data', data: latin('x') }]), /data\.pkl/],
  'a pickle that calls a function': [
    'x.pth',
    () => torchZip(latin('\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R.')),
    /global posix\.system/,
  ],
  'a pickle that calls a function by its stack': [
    'x.pth',
    () => torchZip(latin('\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R.')),
    /global builtins\.eval/,
  ],
  'a pickle with the opcode INST': ['x.pth', () => torchZip(latin('(ios\nsystem\n.')), /opcode 0x69/],
  'a pickle with the opcode OBJ': ['x.pth', () => torchZip(latin('(cos\nsystem\no.')), /opcode 0x6f/],
  'a pickle with an extension': ['x.pth', () => torchZip(latin('\x80\x02\x82\x01.')), /opcode 0x82/],
  'a pickle that nests a million lists': [
    'x.pth',
    () => torchZip(Buffer.concat([many(']', 1e6), many('a', 1e6 - 1), latin('.')])),
    /holds no state_dict/,
  ],
  'a pickle of thirty million dictionaries': ['x.pth', () => torchZip(many('}', 3e7)), /pickle/],
  'a pickle of thirty million marks': ['x.pth', () => torchZip(many('(', 3e7)), /pickle/],
  'a pickle that copies a dictionary again and again': [
    'x.pth',
    () =>
      torchZip(
        Buffer.concat([
          latin('\x80\x02]q\x00('),
          many('K\x01K\x02\x86', 50_000),
          latin('eccollections\nOrderedDict\nq\x010'),
          many('h\x01h\x00\x85R0', 300_000),
          latin('}.'),
        ]),
      ),
    /pickle/,
  ],
  'a tensor that claims 10 GB': [
    'x.pth',
    () => torchZip(tensorPickle('K\x04', 'J\x00\x00\x00\x7f', 'K\x00')),
    /storage of 4/,
  ],
  'a storage that claims 8 EB': [
    'x.pth',
    () => torchZip(tensorPickle('\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x7f', 'K\x04', 'K\x01')),
    /x\.pth/,
  ],
  'a storage that is not there': ['x.pth', () => torchZip(tensorPickle('K\x04', 'K\x04', 'K\x01')), /x\.pth/],
  'an old checkpoint that is cut off': [
    'x.pt',
    () => latin('\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}q'),
    /x\.pt/,
  ],
  'a safetensors header longer than the file': [
    'x.safetensors',
    () => safetensors('{}', 0, 2n ** 62n),
    /x\.safetensors/,
  ],
  'a safetensors header that is no JSON': ['x.safetensors', () => safetensors('{"w":'), /x\.safetensors/],
  'a safetensors header nested a million deep': ['x.safetensors', () => safetensors('['.repeat(1e6)), /x\.safetensors/],
  'a safetensors header of a million tensors': [
    'x.safetensors',
    () => safetensors(`{${'"w":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},'.repeat(6e5)}"v":{}}`),
    /at most 33554432|more than 65536 tensors/,
  ],
  'a safetensors tensor that claims 10 GB': [
    'x.safetensors',
    () => safetensors('{"w":{"dtype":"F32","shape":[50000,50000],"data_offsets":[0,10000000000]}}', 16),
    /x\.safetensors/,
  ],
  'a safetensors tensor with a negative size': [
    'x.safetensors',
    () => safetensors('{"w":{"dtype":"F32","shape":[-2,-2],"data_offsets":[0,16]}}', 16),
    /x\.safetensors/,
  ],
  'a safetensors tensor whose bytes do not fill its shape': [
    'x.safetensors',
    () => safetensors('{"w":{"dtype":"F32","shape":[5],"data_offsets":[0,16]}}', 16),
    /x\.safetensors/,
  ],
  'a sharded checkpoint that leads outside its folder': [
    'x.safetensors.index.json',
    () => latin('{"weight_map":{"w":"../../../etc/passwd"}}'),
    /same folder/,
  ],
  'a sharded checkpoint whose shard is missing': [
    'x.safetensors.index.json',
    () => latin('{"weight_map":{"w":"gone.safetensors"}}'),
    /gone\.safetensors/,
  ],
  'a sharded checkpoint whose index is nested a million deep': [
    'x.safetensors.index.json',
    () => latin('{"weight_map":'.repeat(1e5)),
    /x\.safetensors\.index\.json/,
  ],
};

for (const [title, [name, bytes, message]] of Object.entries(checkpoints)) {
  test(`refused in one sentence, quickly and in little memory: ${title}`, async (t) => {
    t.timeout(600_000);
    const folder = mkdtempSync(join(tmpdir(), 'dgconv-hostile-'));
    t.teardown(() => rmSync(folder, { recursive: true, force: true }));
    writeFileSync(join(folder, name), bytes());
    const args = ['compile', join(folder, name), '--arch', 'resnet_mnist', '--out', join(folder, 'out')];
    await assertRefused(t, folder, args, message);
  });
}

/** Broken run directories: their files, and what is said of them. */
const runs: Readonly<Record<string, readonly [files: Readonly<Record<string, Uint8Array>>, message: RegExp]>> = {
  'that is empty': [{}, /no run directory/],
  'whose training did not finish': [{ 'run.json': latin('{}') }, /did not finish/],
  'whose model is cut off': [{ 'model.safetensors': safetensors('{}').subarray(0, 5) }, /model\.safetensors/],
  'whose graph is nested a hundred thousand deep': [
    { 'model.safetensors': safetensors(JSON.stringify({ __metadata__: { 'dgconv.graph': '['.repeat(1e5) } })) },
    /model\.safetensors/,
  ],
  'whose graph is no graph': [
    { 'model.safetensors': safetensors(JSON.stringify({ __metadata__: { 'dgconv.graph': '{"nodes":7}' } })) },
    /model\.safetensors/,
  ],
};
for (const [title, [files, message]] of Object.entries(runs)) {
  test(`refused in one sentence, quickly and in little memory: a run directory ${title}`, async (t) => {
    t.timeout(600_000);
    const folder = mkdtempSync(join(tmpdir(), 'dgconv-hostile-'));
    t.teardown(() => rmSync(folder, { recursive: true, force: true }));
    mkdirSync(join(folder, 'run'));
    for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, 'run', name), bytes);
    await assertRefused(t, folder, ['compile', join(folder, 'run'), '--out', join(folder, 'out')], message);
  });
}
