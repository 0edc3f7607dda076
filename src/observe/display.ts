/**
 * What: what shows a migration to a person, whoever runs it. Live on a terminal (live.ts), plain
 * lines otherwise (plain.ts). One display may be fed by one side or, in the demo, by both.
 */
import type { SessionEvent } from '../session/types.js';

/** What is known before anything has happened: the first lines. */
export interface HeaderFacts {
  /** Such as "pageferry send". */
  readonly title: string;
  /** Name and value, one line each. */
  readonly facts: readonly (readonly [string, string])[];
}

export interface Display {
  begin(header: HeaderFacts): void;
  event(event: SessionEvent): void;
  /** A line for people, such as where the guest runs on. */
  notice(text: string): void;
  /** Ends what moves, then prints the closing lines. Idempotent but for the lines. */
  end(lines: readonly string[]): void;
}

/** Where a display writes: stderr, or a test's stand-in. */
export interface DisplayStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): boolean;
}
