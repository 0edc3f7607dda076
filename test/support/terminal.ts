/**
 * A terminal of a given width, for tests of displays: understands what cli-progress writes (cursor
 * up, to a column, clear line, clear below, colours) and keeps what the screen would show.
 */
import type { DisplayStream } from '../../src/observe/display.js';

// eslint-disable-next-line no-control-regex -- escape sequences are what is parsed
const sequence = /\u001b\[(\??)(\d*)(?:;(\d*))?([A-Za-z])|[\s\S]/gu;

export class TestTerminal implements DisplayStream {
  readonly isTTY = true;
  readonly columns: number;
  writes = 0;
  isCursorShown = true;
  private row = 0;
  private column = 0;
  private readonly screen: string[] = [''];

  constructor(columns: number) {
    this.columns = columns;
  }

  /** The screen, top to bottom, without blanks at the ends of lines. */
  get lines(): string[] {
    return this.screen.map((line) => line.trimEnd());
  }

  write(text: string): boolean {
    this.writes += 1;
    for (const match of text.matchAll(sequence)) {
      const [whole, mark = '', first = '', , letter] = match;
      if (letter === undefined) this.put(whole);
      else this.control(mark, first, letter);
    }
    return true;
  }

  private put(character: string): void {
    if (character === '\n') {
      this.row += 1;
      this.column = 0;
      this.screen[this.row] ??= '';
      return;
    }
    const line = (this.screen[this.row] ?? '').padEnd(this.column);
    this.screen[this.row] = line.slice(0, this.column) + character + line.slice(this.column + 1);
    this.column += 1;
  }

  private control(mark: string, first: string, letter: string): void {
    const count = first === '' ? 1 : Number(first);
    const line = this.screen[this.row] ?? '';
    if (letter === 'A') this.row = Math.max(0, this.row - count);
    else if (letter === 'G') this.column = count - 1;
    else if (letter === 'K' && first === '2') this.screen[this.row] = '';
    else if (letter === 'K') this.screen[this.row] = line.slice(0, this.column);
    else if (letter === 'J') {
      this.screen[this.row] = line.slice(0, this.column);
      this.screen.length = this.row + 1;
    } else if (mark === '?' && first === '25') this.isCursorShown = letter === 'h';
    else if (letter !== 'm' && mark !== '?') throw new Error(`unknown sequence ${letter}`);
  }
}
