// Reads native/edge_schema.inc, the one place where the `.edge` format's tables are written down.
import { readFileSync } from 'node:fs';

const number = (text) => {
  if (!/^-?\d+$/.test(text)) throw new Error(`internal: "${text}" in edge_schema.inc is no integer`);
  return Number(text);
};
const string = (text) => JSON.parse(text);

/** The schema as plain data: `{ limits, enums, structs, ops }`, fields in file order. */
export function parseSchema(source) {
  const schema = { limits: {}, enums: {}, structs: {}, ops: {} };
  let values; // of the enum being read
  let fields; // of the struct or op being read
  const field = {
    EDGE_U32: (name, min, max, since) => ({
      kind: 'u32',
      name,
      min: number(min),
      max: number(max),
      since: number(since),
    }),
    EDGE_I32: (name, min, max, since) => ({
      kind: 'i32',
      name,
      min: number(min),
      max: number(max),
      since: number(since),
    }),
    EDGE_F32: (name, since) => ({ kind: 'f32', name, since: number(since) }),
    EDGE_ENUM: (name, of, since) => ({ kind: 'enum', name, of, since: number(since) }),
    EDGE_STRUCT: (name, of, since) => ({ kind: 'struct', name, of, since: number(since) }),
    EDGE_U32_LIST: (name, min, max, maxLength, since) => ({
      kind: 'u32-list',
      name,
      min: number(min),
      max: number(max),
      maxLength: number(maxLength),
      since: number(since),
    }),
    EDGE_I32_LIST: (name, min, max, maxLength, since) => ({
      kind: 'i32-list',
      name,
      min: number(min),
      max: number(max),
      maxLength: number(maxLength),
      since: number(since),
    }),
    EDGE_CONSTANT: (name, optional, since) => ({
      kind: 'constant',
      name,
      optional: optional === '1',
      since: number(since),
    }),
  };
  const statement = {
    EDGE_LIMIT: (name, value) => (schema.limits[name] = number(value)),
    EDGE_ENUM_BEGIN: (name) => (values = schema.enums[name] = []),
    EDGE_ENUM_VALUE: (_name, text, code) => {
      if (number(code) !== values.length)
        throw new Error(`internal: enum code ${code} in edge_schema.inc is out of order`);
      values.push(string(text));
    },
    EDGE_ENUM_END: () => (values = undefined),
    EDGE_STRUCT_BEGIN: (name) => (fields = schema.structs[name] = []),
    EDGE_STRUCT_END: () => (fields = undefined),
    EDGE_OP_BEGIN: (_name, text, code, since, minInputs, maxInputs) => {
      fields = [];
      schema.ops[string(text)] = {
        code: number(code),
        since: number(since),
        minInputs: number(minInputs),
        maxInputs: number(maxInputs),
        fields,
      };
    },
    EDGE_OP_END: () => (fields = undefined),
  };
  for (const line of source.split('\n')) {
    const call = /^(EDGE_\w+)\((.*)\)$/.exec(line);
    if (!call) continue;
    const [, macro, list] = call;
    const args = list === '' ? [] : list.split(',').map((text) => text.trim());
    if (macro in statement) statement[macro](...args);
    else if (macro in field) fields.push(field[macro](...args));
    else throw new Error(`internal: unknown macro ${macro} in edge_schema.inc`);
  }
  return schema;
}

/** The schema of this checkout. */
export function readSchema() {
  return parseSchema(readFileSync(new URL('../native/edge_schema.inc', import.meta.url), 'utf8'));
}
