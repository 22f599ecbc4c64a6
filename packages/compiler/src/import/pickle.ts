import { InvalidInputError } from '@dgconv/core';

/** What a pickle of plain data can hold. `PickleObject` is whatever an allowed global made. */
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | PickleValue[]
  | Map<PickleValue, PickleValue>
  | PickleTuple
  | PickleGlobal
  | PickleObject;

/** A tuple, apart from a list so that only it can be an argument list. */
export class PickleTuple {
  constructor(readonly items: readonly PickleValue[]) {}
}

/** Something outside the pickle's own language, such as a tensor. */
export class PickleObject {
  readonly isPickleObject = true;
}

/** A global by its name; `call` gives what it makes of its arguments (absent: it may be referred to, but not called). */
export class PickleGlobal {
  constructor(
    readonly name: string,
    readonly call?: (parameters: readonly PickleValue[]) => PickleValue,
  ) {}
}

/** An object of a class that we do not have: its name and the state that it was saved with, nothing of its code. */
export class PickleInstance extends PickleObject {
  state: PickleValue = null;

  constructor(readonly className: string) {
    super();
  }
}

/** What a pickle may reach outside itself. */
export interface PickleScope {
  /** What the global `module.name` makes of its arguments, or undefined if it may not be called. */
  global(module: string, name: string): PickleGlobal | undefined;
  /** Whether an object of a class that `global` does not know may stay, judged by its state when the pickle is read. */
  acceptsInstance(instance: PickleInstance): boolean;
  /** The object of a persistent id. */
  persistent(id: PickleValue): PickleValue;
}

/** Bytes one after the other. */
export interface ByteCursor {
  readonly name: string;
  readonly position: number;
  /** @throws {InvalidInputError} at the end of the bytes. */
  take(count: number): Uint8Array;
}

const mark = Symbol('mark');
/** Bytes; descriptions of tensors are far smaller, so more is an attack or no checkpoint. */
const longestPickle = 2 ** 26;
/** Steps of a pickle, and containers that it makes: many times what checkpoints have, few enough for little time and memory. */
const mostSteps = 2 ** 22;
const mostContainers = 2 ** 20;

/**
 * Runs a pickle (protocols 0 to 5) that may only hold plain data and the globals of `scope`; no code of anybody is run.
 * @throws {InvalidInputError} if an opcode or a global is not allowed, or the pickle is broken.
 */
export function readPickle(cursor: ByteCursor, scope: PickleScope): PickleValue {
  return new Unpickler(cursor, scope).run();
}

class Unpickler {
  readonly #stack: (PickleValue | typeof mark)[] = [];
  readonly #memo = new Map<number, PickleValue>();
  readonly #instances: PickleInstance[] = [];
  readonly #start: number;
  #steps = 0;
  #containers = 0;

  constructor(
    readonly cursor: ByteCursor,
    readonly scope: PickleScope,
  ) {
    this.#start = cursor.position;
  }

  run(): PickleValue {
    for (;;) {
      const at = this.cursor.position;
      if (at - this.#start > longestPickle) this.#fail(`is longer than ${longestPickle} bytes`);
      const opcode = this.cursor.take(1)[0]!;
      this.#spend(1);
      if (opcode === 0x2e) return this.#finish();
      const step = opcodes.get(opcode);
      if (step === undefined) {
        this.#fail(
          `has the opcode 0x${opcode.toString(16).padStart(2, '0')} at byte ${at}, which plain data does not need`,
        );
      }
      step(this.#machine);
    }
  }

  #spend(steps: number): void {
    this.#steps += steps;
    if (this.#steps > mostSteps) this.#fail(`takes more than ${mostSteps} steps`);
  }

  #finish(): PickleValue {
    const refused = this.#instances.find((instance) => !this.scope.acceptsInstance(instance));
    if (refused !== undefined) this.#refuse(refused.className);
    return this.#pop();
  }

  readonly #machine: Machine = {
    push: (value) => {
      if (typeof value === 'object' && value !== null && (this.#containers += 1) > mostContainers)
        this.#fail(`makes or takes up more than ${mostContainers} lists, tuples and dictionaries`);
      this.#stack.push(value);
    },
    spend: (steps) => this.#spend(steps),
    pop: () => this.#pop(),
    top: () => {
      const value = this.#stack.at(-1);
      if (value === undefined || value === mark) this.#fail('uses a value that is not on its stack');
      return value;
    },
    discard: () => {
      if (this.#stack.pop() === undefined) this.#fail('uses a value that is not on its stack');
    },
    mark: () => void this.#stack.push(mark),
    popToMark: () => {
      const at = this.#stack.lastIndexOf(mark);
      if (at < 0) this.#fail('closes a list that it did not open');
      const items = this.#stack.splice(at + 1) as PickleValue[];
      this.#stack.pop();
      return items;
    },
    memoise: (index, value) => void this.#memo.set(index, value),
    memoSize: () => this.#memo.size,
    recall: (index) => {
      const value = this.#memo.get(index);
      if (value === undefined) this.#fail(`refers to object ${index}, which it has not made`);
      return value;
    },
    take: (count) => {
      if (count > longestPickle) this.#fail(`holds a string of ${count} bytes; at most ${longestPickle} are allowed`);
      return this.cursor.take(count);
    },
    line: () => {
      const bytes: number[] = [];
      for (let byte = this.cursor.take(1)[0]!; byte !== 0x0a; byte = this.cursor.take(1)[0]!) {
        if (bytes.push(byte) > 4096) this.#fail('has a line of more than 4096 bytes');
      }
      return String.fromCharCode(...bytes);
    },
    global: (module, name) =>
      this.scope.global(module, name) ?? new PickleGlobal(`${printable(module)}.${printable(name)}`),
    instance: (className) => {
      const instance = new PickleInstance(className);
      this.#instances.push(instance);
      return instance;
    },
    refuse: (globalName) => this.#refuse(globalName),
    persistent: (id) => this.scope.persistent(id),
    fail: (problem) => this.#fail(problem),
  };

  #pop(): PickleValue {
    const value = this.#stack.pop();
    if (value === undefined || value === mark) this.#fail('uses a value that is not on its stack');
    return value;
  }

  #refuse(globalName: string): never {
    this.#fail(
      `asks for the global ${globalName}; only tensors and plain containers are allowed, so save model.state_dict()`,
    );
  }

  #fail(problem: string): never {
    throw new InvalidInputError(`${this.cursor.name}: the pickle ${problem}`);
  }
}

/** A name from the file, safe to print. */
function printable(text: string): string {
  return text.replace(/[^\x21-\x7e]/g, '?').slice(0, 80);
}

interface Machine {
  /** Counts steps that one opcode takes, where they are more than one. */
  spend(steps: number): void;
  push(value: PickleValue): void;
  pop(): PickleValue;
  top(): PickleValue;
  discard(): void;
  mark(): void;
  popToMark(): PickleValue[];
  memoise(index: number, value: PickleValue): void;
  memoSize(): number;
  recall(index: number): PickleValue;
  take(count: number): Uint8Array;
  line(): string;
  global(module: string, name: string): PickleGlobal;
  /** An object of a class that is not known; the scope judges it at the end. */
  instance(className: string): PickleInstance;
  refuse(globalName: string): never;
  persistent(id: PickleValue): PickleValue;
  fail(problem: string): never;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function uint8(machine: Machine): number {
  return machine.take(1)[0]!;
}
function uint16(machine: Machine): number {
  return viewOf(machine.take(2)).getUint16(0, true);
}
function uint32(machine: Machine): number {
  return viewOf(machine.take(4)).getUint32(0, true);
}
function uint64(machine: Machine): number {
  return Number(viewOf(machine.take(8)).getBigUint64(0, true));
}

/** A little-endian two's complement integer of any size. */
function longInteger(machine: Machine, bytes: Uint8Array): number | bigint {
  if (bytes.length > 64) machine.fail(`holds an integer of ${bytes.length} bytes; at most 64 are allowed`);
  const value = bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  const signed = BigInt.asIntN(Math.max(8 * bytes.length, 1), value);
  return Number.isSafeInteger(Number(signed)) ? Number(signed) : signed;
}

function decimal(machine: Machine, text: string): number | bigint {
  if (!/^-?\d{1,150}L?$/.test(text)) machine.fail(`holds ${printable(text)} where an integer belongs`);
  const value = BigInt(text.replace('L', ''));
  return Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

function utf8(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

function quoted(machine: Machine, text: string): string {
  const match = /^(['"])(.*)\1$/.exec(text);
  if (match === null) machine.fail('holds a string without quotes');
  return match[2]!;
}

function setItems(machine: Machine, items: readonly PickleValue[]): void {
  const target = machine.top();
  if (target instanceof PickleInstance) return;
  if (!(target instanceof Map)) machine.fail('sets an item of something that is no dictionary');
  if (items.length % 2 !== 0) machine.fail('sets a dictionary key without a value');
  for (let index = 0; index < items.length; index += 2) target.set(items[index]!, items[index + 1]!);
}

function append(machine: Machine, items: readonly PickleValue[]): void {
  const target = machine.top();
  if (target instanceof PickleInstance) return;
  if (!Array.isArray(target)) machine.fail('appends to something that is no list');
  for (const item of items) target.push(item);
}

function tuple(machine: Machine, count: number): void {
  const items = Array.from({ length: count }, () => machine.pop()).reverse();
  machine.push(new PickleTuple(items));
}

function dictionary(machine: Machine, items: PickleValue[]): void {
  machine.push(new Map());
  setItems(machine, items);
}

function call(machine: Machine): void {
  const parameters = machine.pop();
  const callee = machine.pop();
  if (!(callee instanceof PickleGlobal)) return machine.fail('calls something that is no global');
  if (callee.call === undefined) return machine.refuse(callee.name);
  if (!(parameters instanceof PickleTuple)) return machine.fail(`calls ${callee.name} with something that is no tuple`);
  spendOn(machine, parameters);
  machine.push(callee.call(parameters.items));
}

/** Counts what a call may copy: the lists and tuples that it is given. */
function spendOn(machine: Machine, { items }: PickleTuple): void {
  for (const item of items) {
    if (Array.isArray(item)) machine.spend(item.length);
    else if (item instanceof PickleTuple) machine.spend(item.items.length);
  }
}

/** An object of a class, made without calling anything: of an unknown class, only its name and state are kept. */
function makeInstance(machine: Machine): void {
  const parameters = machine.pop();
  const callee = machine.pop();
  if (!(callee instanceof PickleGlobal)) return machine.fail('makes an instance of something that is no global');
  if (!(parameters instanceof PickleTuple)) return machine.fail(`makes a ${callee.name} of something that is no tuple`);
  spendOn(machine, parameters);
  machine.push(callee.call === undefined ? machine.instance(callee.name) : callee.call(parameters.items));
}

function setState(machine: Machine): void {
  const state = machine.pop();
  const target = machine.top();
  if (target instanceof PickleInstance) target.state = state;
  // torch's state_dict carries a `_metadata` attribute, which says nothing about the tensors.
  else if (!(target instanceof Map || target instanceof PickleObject)) {
    machine.fail('sets the state of something that is no dictionary');
  }
}

function text(machine: Machine): string {
  const value = machine.pop();
  return typeof value === 'string' ? value : machine.fail('names a global by something that is no string');
}

/** Opcodes that plain data needs, by byte, as CPython's `pickletools` describes them. */
const opcodes = new Map<number, (machine: Machine) => void>(
  Object.entries({
    '(': (m) => m.mark(),
    '0': (m) => m.discard(),
    '1': (m) => void m.popToMark(),
    '2': (m) => m.push(m.top()),
    N: (m) => m.push(null),
    '\x88': (m) => m.push(true),
    '\x89': (m) => m.push(false),
    I: (m) => {
      const line = m.line();
      m.push(line === '01' ? true : line === '00' ? false : decimal(m, line));
    },
    L: (m) => m.push(decimal(m, m.line())),
    F: (m) => m.push(Number(m.line())),
    G: (m) => m.push(viewOf(m.take(8)).getFloat64(0)),
    J: (m) => m.push(viewOf(m.take(4)).getInt32(0, true)),
    K: (m) => m.push(uint8(m)),
    M: (m) => m.push(uint16(m)),
    '\x8a': (m) => m.push(longInteger(m, m.take(uint8(m)))),
    '\x8b': (m) => m.push(longInteger(m, m.take(uint32(m)))),
    S: (m) => m.push(quoted(m, m.line())),
    V: (m) => m.push(m.line()),
    T: (m) => m.push(utf8(m.take(uint32(m)))),
    U: (m) => m.push(utf8(m.take(uint8(m)))),
    X: (m) => m.push(utf8(m.take(uint32(m)))),
    '\x8c': (m) => m.push(utf8(m.take(uint8(m)))),
    '\x8d': (m) => m.push(utf8(m.take(uint64(m)))),
    B: (m) => m.push(m.take(uint32(m)).slice()),
    C: (m) => m.push(m.take(uint8(m)).slice()),
    '\x8e': (m) => m.push(m.take(uint64(m)).slice()),
    ']': (m) => m.push([]),
    '}': (m) => m.push(new Map()),
    ')': (m) => m.push(new PickleTuple([])),
    l: (m) => m.push(m.popToMark()),
    d: (m) => dictionary(m, m.popToMark()),
    t: (m) => m.push(new PickleTuple(m.popToMark())),
    '\x85': (m) => tuple(m, 1),
    '\x86': (m) => tuple(m, 2),
    '\x87': (m) => tuple(m, 3),
    a: (m) => append(m, [m.pop()]),
    e: (m) => append(m, m.popToMark()),
    s: (m) => {
      const value = m.pop();
      setItems(m, [m.pop(), value]);
    },
    u: (m) => setItems(m, m.popToMark()),
    p: (m) => m.memoise(Number(m.line()), m.top()),
    q: (m) => m.memoise(uint8(m), m.top()),
    r: (m) => m.memoise(uint32(m), m.top()),
    '\x94': (m) => m.memoise(m.memoSize(), m.top()),
    g: (m) => m.push(m.recall(Number(m.line()))),
    h: (m) => m.push(m.recall(uint8(m))),
    j: (m) => m.push(m.recall(uint32(m))),
    '\x80': (m) => {
      const protocol = uint8(m);
      if (protocol > 5) m.fail(`is of protocol ${protocol}; 0 to 5 are known`);
    },
    '\x95': (m) => void uint64(m),
    c: (m) => {
      const module = m.line();
      m.push(m.global(module, m.line()));
    },
    '\x93': (m) => {
      const name = text(m);
      m.push(m.global(text(m), name));
    },
    P: (m) => m.push(m.persistent(m.line())),
    Q: (m) => m.push(m.persistent(m.pop())),
    R: call,
    '\x81': makeInstance,
    b: setState,
    '\x8f': (m) => m.push([]),
    '\x90': (m) => append(m, m.popToMark()),
    '\x91': (m) => m.push(m.popToMark()),
  } satisfies Record<string, (machine: Machine) => void>).map(([key, step]) => [key.charCodeAt(0), step]),
);
