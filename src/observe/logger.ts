/**
 * What: the log, for whoever looks for a fault: pino's JSON lines on stderr, off unless asked for.
 * On a terminal the lines go through the display, so that they do not tear it.
 */
import { pino, type Logger } from 'pino';

import type { LogLevel } from './levels.js';

export function createLogger(level: LogLevel, write: (line: string) => void): Logger {
  const options = {
    level,
    base: { pid: process.pid },
    formatters: { level: (label: string) => ({ level: label }) },
    // Secrets never go into the log; this is for the day somebody logs an options object.
    redact: ['secret', '*.secret', 'key', '*.key'],
  };
  return pino(options, { write });
}

export type { Logger };
