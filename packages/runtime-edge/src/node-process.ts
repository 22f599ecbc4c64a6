/**
 * Node's `process`, or null in a browser. Its `getBuiltinModule` takes the place of imports: bundlers for browsers fail on
 * imports of Node's modules, even on those that never run there.
 */
export const nodeProcess: NodeJS.Process | null =
  typeof process !== 'undefined' && process.versions?.node !== undefined ? process : null;
