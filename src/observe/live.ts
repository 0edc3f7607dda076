/**
 * What: the live display on a terminal: a header, one line for each round, and below them two
 * lines that move: the state, and a progress bar of the present round. cli-progress draws those
 * two, throttled; everything else scrolls above them.
 */
import { MultiBar, type SingleBar } from 'cli-progress';

import { errorCode, errorMessage } from '../errors.js';
import type { Role, SessionEvent, SessionState } from '../session/types.js';
import { formatByteRate, formatBytes, formatCount } from '../units.js';
import type { Display, DisplayStream, HeaderFacts } from './display.js';
import {
  convergenceSentence,
  connectionSentence,
  formatEta,
  heldText,
  RoundsShown,
  settingsSentence,
  stateTexts,
  tableHead,
  tableRow,
  type ShownRound,
} from './rounds.js';
import { printable, type Style } from './style.js';

type Progress = Extract<SessionEvent, { type: 'progress' }>;

const framesPerSecond = 10;
const defaultColumns = 80;
/** As in the summary, so that everything is one column. */
const nameColumns = 12;
/** The bar takes what the words leave, within these. */
const barColumnsMin = 10;
const barColumnsMax = 50;
/** States in which there is no more to copy. */
const quietStates: ReadonlySet<SessionState> = new Set([
  'connecting',
  'handshake',
  'layout',
  'ready',
  'committing',
  'committed',
  'completed',
  'aborted',
  'failed',
]);

/** Smoothed pages per second of one round: the ETA must not jump about. */
class PageRate {
  private epoch = 0;
  private at = 0;
  private pages = 0;
  private rate = 0;

  constructor(private readonly now: () => number) {}

  /** Takes one progress event and returns the seconds this round still needs, if known. */
  secondsLeft(progress: Progress): number | undefined {
    const now = this.now();
    if (progress.epoch !== this.epoch) {
      this.epoch = progress.epoch;
      this.rate = 0;
      this.at = now;
      this.pages = progress.pagesDone;
      return undefined;
    }
    const seconds = (now - this.at) / 1000;
    if (seconds >= 0.1) {
      const rate = Math.max(0, progress.pagesDone - this.pages) / seconds;
      this.rate = this.rate === 0 ? rate : this.rate * 0.7 + rate * 0.3;
      this.at = now;
      this.pages = progress.pagesDone;
    }
    const left = progress.pagesTotal - progress.pagesDone;
    return this.rate > 0 ? left / this.rate : undefined;
  }
}

export interface LiveOptions {
  readonly stream: DisplayStream;
  readonly style: Style;
  /** Milliseconds; tests give a clock of their own. */
  readonly now?: () => number;
}

export class LiveDisplay implements Display {
  private readonly stream: DisplayStream;
  private readonly style: Style;
  private readonly rate: PageRate;
  private bars: MultiBar | undefined;
  private progressBar: SingleBar | undefined;
  private progress: Progress | undefined;
  private etaSeconds: number | undefined;
  private readonly states = new Map<Role, SessionState>();
  private readonly rounds = new RoundsShown();
  private hasTable = false;
  private isHeld = false;
  private frame = 0;

  constructor(options: LiveOptions) {
    this.stream = options.stream;
    this.style = options.style;
    this.rate = new PageRate(options.now ?? (() => performance.now()));
  }

  begin(header: HeaderFacts): void {
    this.print(`${this.style.bold(header.title)}\n`);
    for (const [name, value] of header.facts) this.printFact(name, value);
    this.startBars();
  }

  event(event: SessionEvent): void {
    switch (event.type) {
      case 'state':
        this.states.set(event.role, event.state);
        if (quietStates.has(event.state)) this.progress = undefined;
        break;
      case 'progress':
        this.showProgress(event);
        break;
      case 'round':
        this.showRound(event);
        break;
      case 'listening':
        this.printFact('listening', event.address);
        break;
      case 'established':
        this.printFact('session', `${event.sessionId}, ${formatBytes(event.ramBytes)} of RAM`);
        break;
      case 'refused': {
        const reason = `${printable(errorMessage(event.error))} (${errorCode(event.error)})`;
        this.print(this.style.yellow(`  refused ${printable(event.remote)}: ${reason}\n`));
        break;
      }
      case 'ended':
        for (const round of this.rounds.missing(event.report.rounds)) this.showRound(round);
        break;
      case 'held':
        this.isHeld = event.isPaused;
        this.print(`  ${heldText(event.isPaused)}\n`);
        break;
      case 'settings':
        this.print(`  ${settingsSentence(event.settings)}\n`);
        break;
      case 'convergence':
        if (event.convergence.chosen !== 'none') {
          this.print(this.style.yellow(`  ${convergenceSentence(event.convergence)}\n`));
        }
        break;
      case 'reconnecting':
      case 'reconnected':
        this.print(this.style.yellow(`  ${connectionSentence(event)}\n`));
        break;
      case 'lane':
        break;
    }
  }

  notice(text: string): void {
    this.print(`  ${text}\n`);
  }

  end(lines: readonly string[]): void {
    this.stopBars();
    for (const text of lines) this.stream.write(`${text}\n`);
  }

  /** Draws now instead of at the next frame. */
  redraw(): void {
    this.bars?.update();
  }

  private get columns(): number {
    return this.stream.columns ?? defaultColumns;
  }

  private showProgress(event: Progress): void {
    // In the demo both sides tell their progress; the source's is the one that leads.
    if (event.role === 'destination' && this.states.has('source')) return;
    this.progress = event;
    this.etaSeconds = this.rate.secondsLeft(event);
    this.progressBar?.setTotal(event.pagesTotal);
    this.progressBar?.update(event.pagesDone);
  }

  private showRound(event: ShownRound): void {
    this.rounds.note(event.round.epoch);
    if (!this.hasTable) {
      this.hasTable = true;
      this.print(`\n${this.style.dim(tableHead(this.columns))}\n`);
    }
    this.print(`${tableRow(event, this.columns)}\n`);
  }

  private printFact(name: string, value: string): void {
    this.print(`  ${this.style.dim(name.padEnd(nameColumns))}${printable(value)}\n`);
  }

  private print(text: string): void {
    if (this.bars === undefined) {
      this.stream.write(text);
      return;
    }
    // The bars' lines are below: they move down by what is printed, each line cleared first.
    for (const line of text.split(/(?<=\n)/)) this.bars.log(`\u001b[2K${line}`);
  }

  private startBars(): void {
    if (this.bars !== undefined) return;
    this.bars = new MultiBar({
      stream: this.stream as unknown as NodeJS.WritableStream,
      format: () => '',
      fps: framesPerSecond,
      hideCursor: true,
      clearOnComplete: true,
      // What scrolls past moves the bars down, so unchanged ones are drawn again too.
      forceRedraw: true,
      gracefulExit: false,
    });
    const stateFormat = { format: () => this.stateLine() };
    const progressFormat = { format: () => this.progressLine() };
    this.bars.create(1, 0, {}, stateFormat);
    this.progressBar = this.bars.create(1, 0, {}, progressFormat);
  }

  private stopBars(): void {
    if (this.bars === undefined) return;
    // Prints what is still queued; stop() alone would lose it.
    this.bars.update();
    this.bars.stop();
    this.bars = undefined;
  }

  private stateLine(): string {
    const { dot } = this.style.signs;
    const source = this.states.get('source');
    const destination = this.states.get('destination');
    const spinner = '|/-\\'.charAt(this.frame++ % 4);
    const parts: string[] = [];
    if (source !== undefined) parts.push(stateTexts[source]);
    if (destination !== undefined && source === undefined) parts.push(stateTexts[destination]);
    if (parts.length === 0) parts.push('starting');
    if (this.isHeld) parts.push('held');
    return `  ${this.style.cyan(spinner)} ${parts.join(` ${dot} `)}`;
  }

  private progressLine(): string {
    const progress = this.progress;
    if (progress === undefined) return '';
    const { pagesDone, pagesTotal } = progress;
    const share = pagesTotal === 0 ? 1 : Math.min(1, pagesDone / pagesTotal);
    const eta =
      this.etaSeconds === undefined || this.isHeld ? '' : `  ETA ${formatEta(this.etaSeconds)}`;
    const words =
      `  ${String(Math.floor(share * 100)).padStart(3)} %` +
      `  ${formatCount(pagesDone)}/${formatCount(pagesTotal)} pages` +
      `  ${formatByteRate(progress.bytesPerSecond)}${eta}`;
    const label = `  round ${progress.epoch}  `;
    const room = this.columns - label.length - words.length - 1;
    const size = Math.min(barColumnsMax, Math.max(barColumnsMin, room));
    const full = Math.round(share * size);
    const { barFull, barEmpty } = this.style.signs;
    const bar =
      this.style.green(barFull.repeat(full)) + this.style.dim(barEmpty.repeat(size - full));
    return label + bar + words;
  }
}
