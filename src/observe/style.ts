/** What: colours and signs of what is written to a terminal; plain text everywhere else. */

type Paint = (text: string) => string;

export interface Style {
  readonly bold: Paint;
  readonly dim: Paint;
  readonly red: Paint;
  readonly green: Paint;
  readonly yellow: Paint;
  readonly cyan: Paint;
  readonly signs: {
    readonly ok: string;
    readonly bad: string;
    readonly warn: string;
    readonly dot: string;
    readonly arrow: string;
    readonly dash: string;
    readonly barFull: string;
    readonly barEmpty: string;
  };
}

export interface StyleFacts {
  readonly isTerminal: boolean;
  readonly environment: NodeJS.ProcessEnv;
}

const unicodeSigns: Style['signs'] = {
  ok: '✓',
  bad: '✗',
  warn: '!',
  dot: '·',
  arrow: '→',
  dash: '–',
  barFull: '━',
  barEmpty: '─',
};

const asciiSigns: Style['signs'] = {
  ok: '+',
  bad: 'x',
  warn: '!',
  dot: '|',
  arrow: '->',
  dash: '-',
  barFull: '#',
  barEmpty: '.',
};

/** Whether the locale's character set is UTF-8; POSIX's order of the variables. */
function isUnicode(environment: NodeJS.ProcessEnv): boolean {
  const { LC_ALL, LC_CTYPE, LANG } = environment;
  const locale = [LC_ALL, LC_CTYPE, LANG].find((value) => value !== undefined && value !== '');
  return locale !== undefined && /utf-?8/i.test(locale);
}

/** NO_COLOR (https://no-color.org) and dumb terminals turn colours off. */
export function hasColours(facts: StyleFacts): boolean {
  const { NO_COLOR, TERM } = facts.environment;
  return facts.isTerminal && (NO_COLOR === undefined || NO_COLOR === '') && TERM !== 'dumb';
}

export function makeStyle(facts: StyleFacts): Style {
  const colours = hasColours(facts);
  const paint =
    (on: number, off: number): Paint =>
    (text) =>
      colours && text !== '' ? `\u001b[${on}m${text}\u001b[${off}m` : text;
  return {
    bold: paint(1, 22),
    dim: paint(2, 22),
    red: paint(31, 39),
    green: paint(32, 39),
    yellow: paint(33, 39),
    cyan: paint(36, 39),
    signs: facts.isTerminal && !isUnicode(facts.environment) ? asciiSigns : unicodeSigns,
  };
}

/**
 * A peer's text made harmless for a terminal: control characters (escape sequences begin with
 * one) become question marks.
 */
export function printable(text: string): string {
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, '?');
}
