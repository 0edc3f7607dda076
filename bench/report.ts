/** What: what a bench section gives: a table, and ratios with what they have to reach. */
import { tableLines, type Row } from './table.js';

/** Two figures of one run against each other; the only thing that means much on a busy machine. */
export interface Ratio {
  readonly name: string;
  readonly value: number;
  /** What it has to reach. */
  readonly atLeast?: number;
  /** What it must not exceed. */
  readonly atMost?: number;
  /** "x" for ratios; a unit for figures. */
  readonly unit: string;
}

export interface Section {
  readonly name: string;
  readonly rows: readonly Row[];
  readonly ratios: readonly Ratio[];
}

export interface BenchOptions {
  /** Smaller memory and fewer runs: shows that everything works, its figures say little. */
  readonly quick: boolean;
  /** Told before each measurement. */
  readonly progress: (what: string) => void;
}

export type Bench = (options: BenchOptions) => Promise<Section>;

export const gigabytes = (bytesPerSecond: number): number => bytesPerSecond / 1e9;

export function isMet({ value, atLeast, atMost }: Ratio): boolean {
  return value >= (atLeast ?? -Infinity) && value <= (atMost ?? Infinity);
}

function ratioLine(ratio: Ratio): string {
  const { name, value, atLeast, atMost, unit } = ratio;
  const figure = `${name}: ${value.toFixed(2)} ${unit}`;
  if (atLeast === undefined && atMost === undefined) return `  ${figure}`;
  const goal = atLeast === undefined ? `at most ${atMost ?? ''}` : `at least ${atLeast}`;
  return `${isMet(ratio) ? '✓' : '✗'} ${figure} (${goal} ${unit})`;
}

/** A section for eyes. */
export function sectionLines({ name, rows, ratios }: Section): string[] {
  return [name, '', ...tableLines(rows), '', ...ratios.map(ratioLine), ''];
}
