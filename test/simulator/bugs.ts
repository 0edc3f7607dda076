/**
 * Bugs that are planted to see whether the simulator finds them: in the helper's rules, or in a
 * copy of the session's compiled code, in which one piece of text is replaced. Where the text is
 * not there any more the bug has to be planted anew, and a test says so.
 */
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

import type { MirrorFault } from './book.js';
import type { SessionCode, Subject } from './session.js';
import { realCode } from './session.js';

export interface PlantedBug {
  /** Completes "a session that ...". */
  readonly name: string;
  /** The rule that is seen to be broken. */
  readonly breach: RegExp;
  readonly mirrorFault?: MirrorFault;
  /** In which file of the session what is replaced by what. */
  readonly change?: { readonly file: string; readonly from: string; readonly to: string };
}

export const plantedBugs: readonly PlantedBug[] = [
  {
    name: 'skips an epoch check',
    breach: /an epoch ends with all of its records/,
    mirrorFault: 'early-token',
  },
  {
    name: 'opens a record twice',
    breach: /no record opened twice/,
    mirrorFault: 'opens-twice',
  },
  {
    name: 'resumes the source after COMMIT',
    breach: /never two owners/,
    change: { file: 'source.js', from: "core.machine.state === 'committing'", to: 'false' },
  },
  {
    name: 'runs the guest before COMMITTED is durable',
    breach: /only after a durable COMMITTED/,
    change: {
      file: 'decision.js',
      from: "await this.record(core.sessionId, 'committed')",
      to: "void this.record(core.sessionId, 'committed').catch(() => {})",
    },
  },
  {
    name: 'is READY before that is noted',
    breach: /ready is noted before/,
    change: { file: 'destination.js', from: "await core.recordState('ready')", to: '' },
  },
  {
    name: 'sends COMMIT before that is noted',
    breach: /committing is noted before/,
    change: { file: 'handover.js', from: "await core.recordState('committing')", to: '' },
  },
  {
    name: 'frees memory at READY before the decision',
    breach: /memory kept after READY/,
    change: { file: 'destination.js', from: 'this.#keepsGuest = true', to: '' },
  },
  {
    name: 'frees memory before ABORTED is durable',
    breach: /memory kept after READY/,
    change: { file: 'decision.js', from: '!(await this.#recordAborted())', to: 'false' },
  },
  {
    name: 'forgets what was written last',
    breach: /RAM is equal at COMMIT|gets over/,
    change: {
      file: 'handover.js',
      from: 'tracker.collect(pages).then(',
      to: 'Promise.resolve().then(',
    },
  },
  {
    name: 'forgets a resend',
    breach: /gets over/,
    change: {
      file: 'outbox.js',
      from: 'if (entry.lane === lane && !entry.isSending)',
      to: 'if (false)',
    },
  },
  {
    name: 'does not acknowledge a record that comes again',
    breach: /gets over/,
    change: {
      file: 'importer.js',
      from: 'this.core.acknowledger.add(lane, PF_CLASS_PAGES',
      to: "if (imported.outcome === 'imported') this.core.acknowledger.add(lane, PF_CLASS_PAGES",
    },
  },
  {
    name: 'waits without an end',
    breach: /every session ends/,
    change: { file: 'life.js', from: 'if (options.timeoutMs !== undefined)', to: 'if (false)' },
  },
  {
    name: 'keeps a slot of a lane that is lost',
    breach: /every slot of the destination is free|gets over/,
    change: { file: 'importer.js', from: 'this.#reserved.get(lane)?.values() ?? []', to: '[]' },
  },
  {
    name: 'lets messages pile up',
    breach: /no unbounded queue/,
    change: {
      file: 'steering.js',
      from: 'if (canTell && !this.#isTelling)',
      to: 'if (canTell)',
    },
  },
];

/** This build's src. */
const built = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'src');

/** The session's code with the bug, loaded from a copy in `directory`, which has to be fresh. */
export async function plant(bug: PlantedBug, directory: string): Promise<Subject> {
  const { change, mirrorFault } = bug;
  if (mirrorFault !== undefined) return { code: realCode, mirrorFault };
  if (change === undefined) throw new Error(`no bug: ${bug.name}`);
  const source = join(directory, 'src');
  mkdirSync(source);
  writeFileSync(join(directory, 'package.json'), '{ "type": "module" }');
  for (const name of readdirSync(built)) {
    // What is not changed stays what it is, so that an error is of the same class everywhere.
    if (name !== 'session') symlinkSync(join(built, name), join(source, name));
  }
  cpSync(join(built, 'session'), join(source, 'session'), { recursive: true });
  const file = join(source, 'session', change.file);
  const text = readFileSync(file, 'utf8');
  if (text.split(change.from).length !== 2) {
    throw new Error(`${change.file} does not have "${change.from}" once: plant the bug anew`);
  }
  writeFileSync(
    file,
    text.replace(change.from, () => change.to),
  );
  const load = async (name: string): Promise<SessionCode> =>
    (await import(pathToFileURL(join(source, 'session', name)).href)) as SessionCode;
  const { runSourceWith } = await load('source.js');
  const { runDestinationWith } = await load('destination.js');
  const { SessionControl } = await load('session-control.js');
  return { code: { runSourceWith, runDestinationWith, SessionControl } };
}
