/**
 * Runs many seeds, one after the other, and keeps the process quiet meanwhile: warnings that a
 * session gives are expected by the thousand.
 */
import { setImmediate as turn } from 'node:timers/promises';

import { planOf } from './plan.js';
import type { Plan, PlanKind } from './plan.js';
import type { Run, Subject } from './session.js';
import { simulate } from './session.js';

/** A seed whose session broke a rule; the first thing to do is to run it alone. */
export class SeedFailure extends Error {
  constructor(
    readonly seed: number,
    readonly run: Run,
  ) {
    const breach = run.breach?.message ?? 'no breach';
    super(`PAGEFERRY_SIM_SEED=${seed} (${run.plan.kind}) repeats this: ${breach}`, {
      cause: run.breach,
    });
  }
}

export interface Tally {
  readonly sessions: number;
  readonly steps: number;
  /** How the sources ended, by plan kind. */
  readonly outcomes: ReadonlyMap<string, number>;
}

const usage = process.resourceUsage();
const kept = {
  emitWarning: process.emitWarning.bind(process),
  resourceUsage: process.resourceUsage.bind(process),
};

/**
 * Without what costs more than the session does: stacks of errors that nobody reads, and what the
 * system has to say about the memory of this process for every report.
 */
async function quietly<Value>(run: () => Promise<Value>): Promise<Value> {
  const { stackTraceLimit } = Error;
  Object.assign(process, { emitWarning: () => undefined, resourceUsage: () => usage });
  Error.stackTraceLimit = 0;
  try {
    return await run();
  } finally {
    Object.assign(process, kept);
    Error.stackTraceLimit = stackTraceLimit;
  }
}

/** One seed's session. */
export function runSeed(seed: number, subject?: Subject): Promise<Run> {
  return runPlan(planOf(seed), subject);
}

/** A plan's session; a promise that nobody took care of is a breach as well. */
export async function runPlan(plan: Plan, subject?: Subject): Promise<Run> {
  const strays: unknown[] = [];
  const onStray = (reason: unknown): void => {
    strays.push(reason);
  };
  process.on('unhandledRejection', onStray);
  try {
    const run = await quietly(() => simulate(plan, subject));
    // Rejections are told when the event loop turns.
    await turn();
    if (strays.length === 0 || run.breach !== undefined) return run;
    const breach = new Error(`a rejection that nobody takes: ${String(strays[0])}`);
    return { ...run, breach };
  } finally {
    process.off('unhandledRejection', onStray);
  }
}

export function outcomeText(kind: PlanKind, run: Run): string {
  const { source, destination } = run;
  const error = source?.error?.code ?? '';
  return `${kind}: ${source?.outcome} ${error}, ${destination?.guest.state} there`;
}

/** Runs `count` seeds from `first` on; rejects with a SeedFailure at the first that fails. */
export async function runSeeds(first: number, count: number, subject?: Subject): Promise<Tally> {
  const outcomes = new Map<string, number>();
  let steps = 0;
  for (let seed = first; seed < first + count; seed += 1) {
    const run = await runSeed(seed, subject);
    if (run.breach !== undefined) throw new SeedFailure(seed, run);
    const text = outcomeText(run.plan.kind, run);
    outcomes.set(text, (outcomes.get(text) ?? 0) + 1);
    steps += run.steps;
  }
  return { sessions: count, steps, outcomes };
}
