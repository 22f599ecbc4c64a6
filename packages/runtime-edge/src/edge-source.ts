import { InvalidInputError, UsageError } from '@dgconv/core';
import { nodeProcess } from './node-process.js';

/** Where a network comes from: the path or URL of a `.edge` file, or its bytes. */
export type EdgeSource = string | URL | ArrayBufferLike | ArrayBufferView;

/** What a value of the wrong kind is, for a message. */
export const describeValue = (value: unknown): string =>
  value === null || value === undefined
    ? String(value)
    : typeof value === 'object'
      ? `an object of the class ${value.constructor?.name ?? 'Object'}`
      : `a ${typeof value}`;

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** `file:` URLs and paths become paths, other URLs stay; without files (in a browser) everything is a URL. */
function locate(text: string): { readonly path: string } | { readonly url: string } {
  if (nodeProcess === null || /^(https?|blob|data):/.test(text)) return { url: text };
  if (text.includes('\0')) throw new InvalidInputError('a path with a zero byte names no file');
  if (!text.startsWith('file:')) return { path: text };
  try {
    return { path: nodeProcess.getBuiltinModule('node:url').fileURLToPath(text) };
  } catch (error) {
    throw new InvalidInputError(`${text} names no file: ${messageOf(error)}`, { cause: error });
  }
}

async function download(url: string, where: string): Promise<Uint8Array> {
  try {
    const response = await fetch(url);
    if (response.ok) return new Uint8Array(await response.arrayBuffer());
    throw new InvalidInputError(`${where}: ${response.status} ${response.statusText}`);
  } catch (error) {
    if (error instanceof InvalidInputError) throw error;
    throw new InvalidInputError(`${where} cannot be fetched: ${messageOf(error)}`, { cause: error });
  }
}

async function readPath(path: string): Promise<Uint8Array> {
  try {
    return await nodeProcess!.getBuiltinModule('node:fs/promises').readFile(path);
  } catch (error) {
    throw new InvalidInputError(messageOf(error), { cause: error });
  }
}

/**
 * The bytes of a source, or the path if the engine opens files itself, and what messages call it.
 * @throws {UsageError} if it is neither text, URL nor bytes.
 * @throws {InvalidInputError} if it cannot be read.
 */
export async function openEdgeSource(
  source: EdgeSource,
  opensFiles: boolean,
): Promise<{ readonly input: string | Uint8Array; readonly where: string }> {
  const where = 'the model';
  if (ArrayBuffer.isView(source))
    return { input: new Uint8Array(source.buffer, source.byteOffset, source.byteLength), where };
  // By name, because tests and frames have classes of their own, which `instanceof` does not know.
  if (/^\[object (Shared)?ArrayBuffer\]$/.test(Object.prototype.toString.call(source)))
    return { input: new Uint8Array(source as ArrayBuffer), where };
  if (typeof source !== 'string' && Object.prototype.toString.call(source) !== '[object URL]')
    throw new UsageError(`the source of a session is ${describeValue(source)}: it must be a path, a URL or bytes`);
  const place = locate(String(source));
  if ('path' in place) return { input: opensFiles ? place.path : await readPath(place.path), where: place.path };
  // A URL may carry the bytes themselves.
  const name = place.url.length > 200 ? `${place.url.slice(0, 60)}…` : place.url;
  return { input: await download(place.url, name), where: name };
}
