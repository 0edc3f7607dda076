/** What: the display of pipes and logs: one line for each round and each change, nothing moves. */
import { formatBytes } from '../units.js';
import { errorCode, errorMessage } from '../errors.js';
import type { SessionEvent } from '../session/types.js';
import type { Display, DisplayStream, HeaderFacts } from './display.js';
import {
  connectionSentence,
  convergenceSentence,
  heldText,
  roundSentence,
  RoundsShown,
  settingsSentence,
  stateTexts,
} from './rounds.js';
import { printable } from './style.js';

/** The event as a line; undefined for what only moves (progress), and for lanes that close. */
export function eventSentence(event: SessionEvent): string | undefined {
  switch (event.type) {
    case 'state':
      return `${event.role}: ${stateTexts[event.state]}`;
    case 'listening':
      return `listening at ${printable(event.address)}`;
    case 'established':
      return `session ${event.sessionId}: ${formatBytes(event.ramBytes)} of guest RAM`;
    case 'lane':
      return event.open ? `lane ${event.lane}: ${printable(event.remote)}` : undefined;
    case 'reconnecting':
    case 'reconnected':
      return connectionSentence(event);
    case 'refused': {
      const reason = printable(errorMessage(event.error));
      return `refused ${printable(event.remote)}: ${reason} (${errorCode(event.error)})`;
    }
    case 'round':
      return roundSentence(event);
    case 'held':
      return `${event.role}: ${heldText(event.isPaused)}`;
    case 'settings':
      return settingsSentence(event.settings);
    case 'convergence':
      return convergenceSentence(event.convergence);
    case 'progress':
    case 'ended':
      return undefined;
  }
}

export class PlainDisplay implements Display {
  private readonly stream: DisplayStream;
  private readonly rounds = new RoundsShown();
  private last = '';

  constructor(stream: DisplayStream) {
    this.stream = stream;
  }

  begin(header: HeaderFacts): void {
    const facts = header.facts.map(([name, value]) => `${name} ${printable(value)}`);
    this.line(`${header.title}: ${facts.join(', ')}`);
  }

  event(event: SessionEvent): void {
    if (event.type === 'round') this.rounds.note(event.round.epoch);
    if (event.type === 'ended') {
      for (const round of this.rounds.missing(event.report.rounds)) this.line(roundSentence(round));
    }
    const text = eventSentence(event);
    if (text !== undefined) this.line(text);
  }

  notice(text: string): void {
    this.line(text);
  }

  end(lines: readonly string[]): void {
    for (const text of lines) this.stream.write(`${text}\n`);
  }

  /** The same again (both sides of the demo tell it) is not news. */
  private line(text: string): void {
    if (text === this.last) return;
    this.last = text;
    this.stream.write(`${text}\n`);
  }
}
