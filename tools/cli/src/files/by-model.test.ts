import test from 'ava';
import { filesByModel } from './by-model.js';

test('files of one name are one model, each named once', (t) => {
  const models = filesByModel(['out/net.edge', 'out/net.onnx', 'other.edge', './out/net.edge']);
  t.deepEqual(
    [...models],
    [
      ['net', { edge: './out/net.edge', onnx: 'out/net.onnx' }],
      ['other', { edge: 'other.edge' }],
    ],
  );
});

test('files of one name and format in different folders are different models', (t) => {
  const models = filesByModel(['a/net.edge', 'b/net.edge', 'a/net.onnx', 'c.onnx']);
  t.deepEqual(
    [...models],
    [
      ['a/net', { edge: 'a/net.edge', onnx: 'a/net.onnx' }],
      ['b/net', { edge: 'b/net.edge' }],
      ['c', { onnx: 'c.onnx' }],
    ],
  );
});
