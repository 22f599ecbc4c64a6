import test from 'ava';
import { readdirSync, readFileSync } from 'node:fs';

test("what browsers load imports no module of Node's, not even one that never runs there: bundlers would fail on it", (t) => {
  const folder = new URL('.', import.meta.url);
  const files = readdirSync(folder).filter((name) => /(?<!\.test)\.js$/.test(name));
  t.true(files.length > 15);
  for (const name of files)
    t.notRegex(readFileSync(new URL(name, folder), 'utf8'), /(?:from|import)[ (]*['"]node:/, name);
});
