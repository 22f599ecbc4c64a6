import test from 'ava';
import { edgeEnums, edgeLimits, edgeOps, edgeStructs } from './edge-schema.js';

interface Schema {
  readonly limits: object;
  readonly enums: object;
  readonly structs: object;
  readonly ops: Readonly<Record<string, { readonly code: number }>>;
}

const script = <T>(name: string): Promise<T> =>
  import(new URL(`../../scripts/${name}`, import.meta.url).href) as Promise<T>;

const readSchema = async (): Promise<Schema> => {
  return (await script<{ readSchema(): Schema }>('schema.mjs')).readSchema();
};

test('edge-schema.ts says what edge_schema.inc says', async (t) => {
  const schema = await readSchema();
  t.deepEqual(schema.limits, { ...edgeLimits });
  t.deepEqual(schema.enums, edgeEnums as object);
  t.deepEqual(schema.structs, edgeStructs as object);
  t.deepEqual(schema.ops as object, edgeOps as object);
});

test('no two ops have the same code', async (t) => {
  const codes = Object.values((await readSchema()).ops).map(({ code }) => code);
  t.is(new Set(codes).size, codes.length);
});

test("the format's description has the schema's tables", async (t) => {
  const { schemaDoc, readFormatDoc } = await script<{
    schemaDoc(schema: Schema): string;
    readFormatDoc(): { tables: string };
  }>('schema-doc.mjs');
  t.is(readFormatDoc().tables, schemaDoc(await readSchema()));
});
