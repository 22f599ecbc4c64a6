/** Stable, machine-readable names of what went wrong; the command line maps them to exit codes (2 usage, 3 input, 1 check). */
export type ErrorCode = 'usage' | 'invalid-input' | 'unsupported' | 'check-failed';

/**
 * Base of every error that a user can cause. The message is one sentence that says what, with which values, and which rule broke.
 * A bug of ours is never a `DgconvError`: its message starts with `internal:`.
 */
export class DgconvError extends Error {
  override readonly name: string = 'DgconvError';
  constructor(
    readonly code: ErrorCode,
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }
}

/** The command line or an option was wrong (exit code 2). */
export class UsageError extends DgconvError {
  override readonly name = 'UsageError';
  constructor(message: string, options?: { cause?: unknown }) {
    super('usage', message, options);
  }
}

/** A value, a tensor or a file breaks a rule that the message names (exit code 3). */
export class InvalidInputError extends DgconvError {
  override readonly name = 'InvalidInputError';
  constructor(message: string, options?: { cause?: unknown }) {
    super('invalid-input', message, options);
  }
}

/** A format or an engine cannot express what was asked; the message names node, operator and reason (exit code 3). */
export class UnsupportedError extends DgconvError {
  override readonly name = 'UnsupportedError';
  constructor(message: string, options?: { cause?: unknown }) {
    super('unsupported', message, options);
  }
}

/** A check that was asked for did not hold (exit code 1). */
export class CheckFailedError extends DgconvError {
  override readonly name = 'CheckFailedError';
  constructor(message: string, options?: { cause?: unknown }) {
    super('check-failed', message, options);
  }
}
