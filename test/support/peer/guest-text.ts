/** Guest memory that everybody recognizes: a known marker, and text of people and programs. */
import type { Random } from '../random.js';
import { PAGE_BYTES } from './records.js';

export const MARKER = 'PAGEFERRY-MARKER-0123456789-abcdef: ';

const words = (
  'the of and to in a guest page memory host ferry harbour water slowly crosses mirror record ' +
  'sealed opened counter epoch stream before after never always return while between nothing'
).split(' ');

const statements = [
  'for (int index = 0; index < count; index++)\n\t',
  'if (status != 0)\n\treturn -',
  'memcpy(target, source, length);\n',
  'static const unsigned char table[] = {\n\t',
  '/* see above */\n',
];

function number(random: Random): string {
  return `0x${random.word().toString(16)}`;
}

function piece(random: Random): string {
  if (random.once(6)) return `${random.pick(statements)}${number(random)};\n`;
  return `${random.pick(words)}${random.once(9) ? '.\n' : ' '}`;
}

/** RAM of which every byte is marker or text, by pages in turn; no page is like another. */
export function markedRam(random: Random, pages: number): Buffer {
  const ram = Buffer.alloc(pages * PAGE_BYTES, MARKER);
  for (let page = 0; page < pages; page += 1) {
    const start = page * PAGE_BYTES;
    if (page % 2 === 0) {
      ram.write(`page ${page} `, start);
      continue;
    }
    let text = '';
    while (text.length < PAGE_BYTES) text += piece(random);
    ram.write(text, start, PAGE_BYTES, 'latin1');
  }
  return ram;
}
