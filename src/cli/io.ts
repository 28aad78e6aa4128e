/** The terminal and the process around a command, so that commands can be run in a test as they are. */
export interface Io {
  /** Results, and nothing else. */
  out(text: string): void;
  /** Messages for people. */
  err(text: string): void;
  /** Null = not a terminal: nothing is cut, coloured or drawn anew. */
  readonly outColumns: number | null;
  readonly errColumns: number | null;
  /** Colours may be used where there is a terminal. */
  readonly colors: boolean;
  stdin(): AsyncIterable<Uint8Array>;
  /** Somebody can be asked, and answers on stdin. */
  readonly interactive: boolean;
  /** Aborts when nobody reads `out` any more, as in `… | head`: what goes on without end stops then. */
  readonly outGone: AbortSignal;
  readonly cwd: string;
  /** Calls `fn` at each SIGINT and SIGTERM until the returned function is called. */
  onSignal(fn: (signal: StopSignal) => void): () => void;
  /** Ends the process at once, whatever it is doing. */
  exitNow(code: number): void;
}

export type StopSignal = 'SIGINT' | 'SIGTERM';

/** The person, or whoever runs this process, wants it to end. */
export class Interrupted extends Error {
  readonly signal: StopSignal;

  constructor(signal: StopSignal) {
    super(`stopped by ${signal}`);
    this.name = 'Interrupted';
    this.signal = signal;
  }
}
