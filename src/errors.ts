/**
 * What should not normally happen, with a stable code.
 * What can normally happen is part of a function's return type instead.
 */
export class AgentSystemError extends Error {
  /** Stable, UPPER_SNAKE; each face maps it to its protocol in one table. */
  readonly code: string;
  /** True when the same call may succeed later without any change. */
  readonly retryable: boolean;
  /** Facts for programs: the fields at fault, near names, limits. */
  readonly details: Record<string, unknown> | undefined;

  constructor(
    code: string,
    message: string,
    options: { retryable?: boolean; cause?: unknown; details?: Record<string, unknown> } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'AgentSystemError';
    this.code = code;
    this.retryable = options.retryable ?? false;
    this.details = options.details;
  }
}

/** A configuration that cannot be started with: exit code 78, every problem listed at once. */
export class ConfigurationError extends AgentSystemError {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super('CONFIGURATION_REFUSED', problems.join('\n'), { details: { problems } });
    this.name = 'ConfigurationError';
    this.problems = problems;
  }
}

/** The store did not answer: whether the write took effect is unknown, repeat it with the same operation id. */
export class StoreUnavailableError extends AgentSystemError {
  /**
   * For whoever makes the call again: the store that failed is told which try it was and how long the next one waits, so
   * that its log has every retry without every caller knowing a log.
   */
  onRetry: ((tried: number, waitMs: number) => void) | undefined;

  constructor(message: string, cause?: unknown) {
    super('STORE_UNAVAILABLE', message, { retryable: true, cause });
    this.name = 'StoreUnavailableError';
  }
}
