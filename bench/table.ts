/** What: rows of figures as a table for eyes: columns padded, numbers to the right. Pure. */

export type Cell = string | number;
/** One measured thing; all rows of a table have the same keys. */
export type Row = Readonly<Record<string, Cell>>;

const cellText = (cell: Cell): string =>
  typeof cell === 'number' ? (Number.isInteger(cell) ? String(cell) : cell.toFixed(2)) : cell;

/** The lines of a table with the first row's keys as its head; no line for no row. */
export function tableLines(rows: readonly Row[]): string[] {
  const [first] = rows;
  if (first === undefined) return [];
  const names = Object.keys(first);
  const widths = names.map((name) =>
    Math.max(name.length, ...rows.map((row) => cellText(row[name] ?? '').length)),
  );
  const line = (cells: readonly string[], isNumber: (index: number) => boolean): string =>
    cells
      .map((cell, index) => {
        const width = widths[index] ?? 0;
        return isNumber(index) ? cell.padStart(width) : cell.padEnd(width);
      })
      .join('  ')
      .trimEnd();
  const isNumber = (index: number): boolean => typeof first[names[index] ?? ''] === 'number';
  return [
    line(names, isNumber),
    line(
      widths.map((width) => '─'.repeat(width)),
      isNumber,
    ),
    ...rows.map((row) =>
      line(
        names.map((name) => cellText(row[name] ?? '')),
        isNumber,
      ),
    ),
  ];
}

/** The middle value; of an even number, the lower of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted[Math.floor((sorted.length - 1) / 2)];
  if (middle === undefined) throw new Error('the median of nothing');
  return middle;
}
