/**
 * What: how a migrating command talks: to a person (live or plain, on stderr), to the process that
 * started it (events on a descriptor), and to a machine (the report on stdout).
 * Owns the display and the events' socket until `close`.
 */
import { Socket } from 'node:net';

import { errorCode, errorMessage } from '../errors.js';
import type { Display, HeaderFacts } from '../observe/display.js';
import { encodeEvent, type ProcessEvent } from '../observe/events.js';
import { writeReport } from '../observe/json.js';
import type { LogLevel } from '../observe/levels.js';
import { LiveDisplay } from '../observe/live.js';
import { createLogger, type Logger } from '../observe/logger.js';
import { PlainDisplay } from '../observe/plain.js';
import { makeStyle, printable, type Style } from '../observe/style.js';
import { summaryLines } from '../observe/summary.js';
import type { MigrationReport, Role, SessionEvent } from '../session/types.js';
import { errorLines } from './failure.js';
import type { CommonOptions, EventsOption } from './options.js';

/** Progress is left out when the reader is so far behind. */
const eventsBacklogBytesMax = 1024 * 1024;

/** Stands in for a display when another process shows the events. */
class ForwardingDisplay implements Display {
  private readonly socket: Socket;

  constructor(fd: number, onGone: () => void) {
    this.socket = new Socket({ fd, readable: true, writable: true });
    this.socket.on('error', onGone);
    this.socket.on('close', onGone);
    this.socket.resume();
    // The pipe's end is watched for, but waiting for it must not keep the process.
    this.socket.unref();
  }

  begin(_header: HeaderFacts): void {
    // The process that shows the events has a header of its own.
  }

  event(event: ProcessEvent): void {
    const isBehind = this.socket.writableLength > eventsBacklogBytesMax;
    if (this.socket.writable && !(isBehind && event.type === 'progress')) {
      this.socket.write(encodeEvent(event));
    }
  }

  notice(text: string): void {
    this.event({ type: 'notice', text });
  }

  end(): void {
    this.socket.removeAllListeners('close');
    if (this.socket.writable) this.socket.end();
  }
}

export interface FrontendOptions extends CommonOptions, EventsOption {
  /** The process that reads the events is gone. */
  readonly onParentGone?: () => void;
}

export class Frontend {
  readonly style: Style;
  readonly logger: Logger;
  /** Somebody sits at a terminal and can press Ctrl-C. */
  readonly isInteractive: boolean;
  private readonly display: Display;
  private readonly json: boolean;
  private readonly isForwarding: boolean;
  private readonly restoreTerminal = (): void => {
    this.display.end([]);
  };

  constructor(options: FrontendOptions) {
    const stream = process.stderr;
    const isTerminal = stream.isTTY && process.env['TERM'] !== 'dumb';
    this.style = makeStyle({ isTerminal: stream.isTTY, environment: process.env });
    this.json = options.json ?? false;
    this.isForwarding = options.eventsFd !== undefined;
    this.isInteractive = isTerminal && process.stdin.isTTY && !this.json && !this.isForwarding;
    this.display =
      options.eventsFd !== undefined
        ? new ForwardingDisplay(options.eventsFd, options.onParentGone ?? (() => undefined))
        : isTerminal
          ? new LiveDisplay({ stream, style: this.style })
          : new PlainDisplay(stream);
    this.logger = this.openLog(options.logLevel, isTerminal);
    process.on('exit', this.restoreTerminal);
  }

  begin(header: HeaderFacts): void {
    this.display.begin(header);
  }

  event(event: SessionEvent): void {
    this.display.event(event);
    if (event.type === 'progress') this.logger.trace(event);
    else if (event.type === 'refused') this.logger.warn(describeRefusal(event), 'peer refused');
    else if (event.type !== 'ended') this.logger.debug(event);
  }

  notice(text: string): void {
    this.display.notice(text);
  }

  /** A line another process wrote to its stderr. */
  log(role: Role, line: string): void {
    this.display.notice(`${role}: ${printable(line)}`);
  }

  /** The last words: the verdict, advice, and the report. */
  finish(report: MigrationReport, advice: readonly string[] = []): void {
    const errors = report.error === undefined ? [] : errorLines(report.error);
    // What a parent process shows is its own summary; to it we only owe the report.
    const lines = this.isForwarding ? [] : summaryLines(report, this.style, [...errors, ...advice]);
    this.display.end(lines);
    if (this.json) writeReport(report);
  }

  /** After the summary: plain lines, nothing moves any more. */
  line(text: string): void {
    if (!this.isForwarding) process.stderr.write(`${text}\n`);
  }

  /** Leaves the terminal as it was. Idempotent. */
  close(): void {
    process.off('exit', this.restoreTerminal);
    this.display.end([]);
  }

  private openLog(level: LogLevel, isTerminal: boolean): Logger {
    return createLogger(level, (line) => {
      if (isTerminal && !this.isForwarding) this.display.notice(line.trimEnd());
      else process.stderr.write(line);
    });
  }
}

function describeRefusal(event: Extract<SessionEvent, { type: 'refused' }>): object {
  const { error, remote } = event;
  return { remote, code: errorCode(error), reason: errorMessage(error) };
}
