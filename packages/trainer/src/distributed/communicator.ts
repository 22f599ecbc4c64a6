/** Processes that train one network together. Every process makes the same calls in the same order; each waits for all. */
export interface Communicator {
  /** Number of this process, from 0; process 0 decides and writes. */
  readonly rank: number;
  /** How many processes there are. */
  readonly size: number;
  /** Replaces values by their means over all processes, which get the same bits. */
  average(values: Float32Array): void;
  /** Replaces a few values by their sums over all processes, which get the same bits. */
  sum(values: Float64Array): void;
  /** Replaces bytes by those of process 0; every process has as many. */
  broadcast(bytes: Uint8Array): void;
}

/** A process by itself. */
export const alone: Communicator = { rank: 0, size: 1, average() {}, sum() {}, broadcast() {} };

/** Bytes that process 0 reads, for everybody. */
export function broadcastBytes(communicator: Communicator, read: () => Uint8Array): Uint8Array {
  if (communicator.size === 1) return read();
  const own = communicator.rank === 0 ? read() : null;
  const length = Float64Array.of(own?.length ?? 0);
  communicator.sum(length);
  const bytes = own ?? new Uint8Array(length[0]!);
  communicator.broadcast(bytes);
  return bytes;
}

/** The value of process 0, as JSON, for everybody. */
export function broadcastJson<Value>(communicator: Communicator, value: Value): Value {
  if (communicator.size === 1) return value;
  const bytes = broadcastBytes(communicator, () => new TextEncoder().encode(JSON.stringify(value)));
  return JSON.parse(new TextDecoder().decode(bytes)) as Value;
}

/** Goes on when all processes are here. */
export function waitForAll(communicator: Communicator): void {
  communicator.sum(new Float64Array(1));
}
