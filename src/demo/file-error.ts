export type FileErrorCode =
  | 'binary_file'
  | 'unreadable_file'
  | 'too_large'
  | 'not_a_file'
  | 'outside_folder'
  | 'not_a_folder'
  | 'out_not_writable';

/**
 * A file or folder the demo cannot use. The message is for a person: what was found, what was wanted.
 * A second attempt meets the same file, so it is not retryable unless the system was only short of something.
 */
export class FileError extends Error {
  readonly code: FileErrorCode;
  readonly retryable: boolean;

  constructor(code: FileErrorCode, message: string, options: { retryable?: boolean; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'FileError';
    this.code = code;
    this.retryable = options.retryable ?? false;
  }
}

const SHORTAGES = new Set(['EMFILE', 'ENFILE', 'EAGAIN', 'ENOMEM', 'EINTR']);

/** What the system answered for a file, as a `FileError`; one that is one already stays as it is. */
export function unreadable(cause: unknown): FileError {
  if (cause instanceof FileError) return cause;
  const code = systemCode(cause);
  return new FileError('unreadable_file', `cannot be read: found ${reasonOf(code, cause)}; wanted a readable file`, {
    retryable: SHORTAGES.has(code),
    cause,
  });
}

/** The system's own error code (`ENOENT`), or an empty string. */
export function systemCode(cause: unknown): string {
  const code = (cause as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : '';
}

/** A system error in words. */
export function reasonOf(code: string, cause: unknown): string {
  if (code === 'ENOENT') return 'nothing there (it is gone, or its name is not valid UTF-8)';
  if (code === 'EACCES' || code === 'EPERM') return 'no permission';
  if (code === 'ELOOP') return 'a symbolic link';
  if (code === 'ENOTDIR') return 'a file where a folder was named';
  if (SHORTAGES.has(code)) return `the system short of something (${code})`;
  return code !== '' ? code : String(cause);
}
