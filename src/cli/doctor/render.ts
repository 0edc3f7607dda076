/** What: a diagnosis for people: groups, one aligned line a check, the mending line below. */
import type { Style } from '../../observe/style.js';
import type { Check, Diagnosis } from './checks.js';

function sign(check: Check, style: Style): string {
  switch (check.status) {
    case 'ok':
      return style.green(style.signs.ok);
    case 'advice':
      return style.yellow(style.signs.warn);
    case 'missing':
      return style.red(style.signs.bad);
  }
}

function verdict(diagnosis: Diagnosis, style: Style): string {
  const count = (status: Check['status']): number =>
    diagnosis.checks.filter((check) => check.status === status).length;
  const advice = count('advice');
  const more = advice === 0 ? '' : `; ${advice} ${advice === 1 ? 'thing' : 'things'} to improve`;
  if (diagnosis.ok) {
    const engine = `engine auto takes ${diagnosis.engines.auto ?? 'none'}`;
    return style.bold(style.green(`Everything that is required works, ${engine}${more}.`));
  }
  const missing = count('missing');
  const things = missing === 1 ? 'thing is' : 'things are';
  return style.bold(style.red(`${missing} required ${things} missing${more}.`));
}

export function renderDiagnosis(diagnosis: Diagnosis, style: Style): string {
  const { checks } = diagnosis;
  const width = Math.max(...checks.map((check) => check.name.length));
  const lines: string[] = [];
  let group = '';
  for (const check of checks) {
    if (check.group !== group) {
      if (group !== '') lines.push('');
      lines.push(style.bold(check.group));
      group = check.group;
    }
    lines.push(`  ${sign(check, style)} ${check.name.padEnd(width)}  ${check.detail}`);
    if (check.mend !== undefined) {
      lines.push(`    ${' '.repeat(width)}  ${style.cyan(check.mend)}`);
    }
  }
  lines.push('', verdict(diagnosis, style));
  return `${lines.join('\n')}\n`;
}
