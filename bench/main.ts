/**
 * What: `npm run bench [-- SECTION...] [-- --json]`: runs the sections and prints them. Ratios
 * within one run are what counts; a ratio that misses its goal is marked, and the exit code stays
 * 0: a busy machine is no defect. With --strict it is 1.
 */
import { parseArgs } from 'node:util';

import { benchEndToEnd } from './end-to-end.js';
import { benchMemory } from './memory.js';
import { benchMirror } from './mirror.js';
import { benchProtection } from './protection.js';
import { benchTransports } from './transports.js';
import { isMet, sectionLines, type Bench, type Section } from './report.js';

const sections = new Map<string, { readonly bench: Bench; readonly help: string }>([
  ['mirror', { bench: benchMirror, help: 'seal and open per engine, vCPUs, codec, record size' }],
  ['migration', { bench: benchEndToEnd, help: 'a paused guest end to end, next to bare TCP' }],
  ['transports', { bench: benchTransports, help: 'each transport next to its own bare pipe' }],
  ['protection', { bench: benchProtection, help: 'what it costs that no record can be lost' }],
  ['memory', { bench: benchMemory, help: "each process's peak memory above its guest's RAM" }],
]);

function usage(): string {
  const lines = [...sections].map(([name, { help }]) => `  ${name.padEnd(12)}${help}`);
  return [
    'usage: npm run bench -- [SECTION...] [--json] [--quick] [--strict]',
    '',
    'Sections (all of them when none is named):',
    ...lines,
    '',
    '  --json      one object on stdout instead of tables',
    '  --quick     little memory, one run: shows that everything works, measures nothing',
    '  --strict    exit code 1 when a ratio misses its goal',
  ].join('\n');
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      quick: { type: 'boolean', default: false },
      strict: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const unknown = positionals.find((name) => !sections.has(name));
  if (values.help || unknown !== undefined) {
    if (unknown !== undefined) console.error(`bench: there is no section "${unknown}"\n`);
    console.log(usage());
    return unknown === undefined ? 0 : 2;
  }
  const done: Section[] = [];
  for (const name of positionals.length > 0 ? positionals : sections.keys()) {
    const progress = (what: string): void => {
      if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${name}: ${what}`);
    };
    const section = await sections.get(name)?.bench({ quick: values.quick, progress });
    if (process.stderr.isTTY) process.stderr.write('\r\u001b[K');
    if (section === undefined) continue;
    done.push(section);
    if (!values.json) console.log(sectionLines(section).join('\n'));
  }
  if (values.json) console.log(JSON.stringify({ bench: 'pageferry', version: 1, sections: done }));
  const isAllMet = done.every(({ ratios }) => ratios.every(isMet));
  return values.strict && !isAllMet ? 1 : 0;
}

process.exitCode = await main();
