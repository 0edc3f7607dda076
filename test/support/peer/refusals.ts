/** What the helper's refusals look like at the mirror. */
import {
  PF_FIELD_BYTES,
  PF_RECORD_FIELD_NAMES,
  PF_VIOLATION_NAMES,
} from '../../../src/native/abi.generated.js';
import type { Refusal } from './rig.js';

function numberOf(names: Readonly<Record<number, string>>, name: string): number {
  const found = Object.entries(names).find(([, value]) => value === name);
  if (found === undefined) throw new Error(`the ABI has no ${name}`);
  return Number(found[0]);
}

function fieldNumber(field: string): number {
  const name = `PF_FIELD_${field.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
  return numberOf(PF_RECORD_FIELD_NAMES, name);
}

/** The header's `field` is malformed. */
export function malformed(field: string): Refusal {
  return { code: 'ERR_PAGEFERRY_RECORD', detail: fieldNumber(field) };
}

/** The header's `field` says that the record is for somebody else. */
export function foreign(field: string): Refusal {
  return { code: 'ERR_PAGEFERRY_SESSION', detail: fieldNumber(field) };
}

/** The record has another size than its header says. */
export const wrongSize: Refusal = { code: 'ERR_PAGEFERRY_RECORD', detail: PF_FIELD_BYTES };
export const notAuthentic: Refusal = { code: 'ERR_PAGEFERRY_TAG' };

/** Authentic and against the rules: the session is over. */
export function violation(name: string): Refusal {
  const detail = numberOf(PF_VIOLATION_NAMES, `PF_VIOLATION_${name}`);
  return { code: `ERR_PAGEFERRY_VIOLATION_${name}`, detail };
}

export function isFatal(refusal: Refusal): boolean {
  return refusal.code.startsWith('ERR_PAGEFERRY_VIOLATION_');
}
