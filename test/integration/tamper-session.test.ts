import assert from 'node:assert/strict';

import type { Role, SessionEvent, SessionState } from '../../src/session/types.js';
import type { Lane } from '../../src/transport/contract.js';
import { FRAME_BYTES_MAX, LANE_RECORD_BYTES_MAX } from '../../src/wire/limits.js';
import { onBothEngines } from '../support/peer/engines.js';
import { LaneTap, kindOf } from '../support/session/lane-tap.js';
import { assertCompleted, dispose, finish, startPair, type Pair } from '../support/session/pair.js';
import { loadParts, realWorld } from '../support/session/real-world.js';

const KIND_PAGES = 1;
const KIND_CONTROL = 2;
const KIND_TOKEN = 4;

/** What a side has sent, in order, over all of its lanes. */
type Sent = Readonly<Record<Role, Buffer[]>>;

interface Attack {
  readonly at: Role;
  readonly when: SessionState;
  /** Each goes in on a lane of its own, which it ends with this code. */
  readonly frames: readonly Buffer[];
  readonly code: string;
}

/** Puts the frames of attacks in, once all lanes have joined; page records wait for that. */
class Siege {
  readonly sent: Sent = { source: [], destination: [] };
  readonly laneCount: number;
  readonly #lanes: Readonly<Record<Role, LaneTap[]>> = { source: [], destination: [] };
  readonly #states = new Set<string>();
  readonly #shots: { attack: Attack; frame: Buffer; lane: number; done?: Promise<void> }[] = [];
  #open = 0;
  readonly #begun: Promise<void>;
  #begin: () => void = () => undefined;

  constructor(attacks: readonly Attack[]) {
    for (const attack of attacks) {
      for (const frame of attack.frames) {
        this.#shots.push({ attack, frame, lane: this.#shots.length + 1 });
      }
    }
    this.laneCount = this.#shots.length + 2;
    this.#begun = new Promise((resolve) => {
      this.#begin = resolve;
    });
  }

  tap(role: Role, lane: Lane): LaneTap {
    const tapped = new LaneTap(lane, async (_, frame) => {
      this.sent[role].push(frame);
      if (kindOf(frame) === KIND_PAGES) await this.#begun;
      return true;
    });
    this.#lanes[role].push(tapped);
    return tapped;
  }

  onEvent(role: Role, event: SessionEvent): void {
    if (event.type === 'lane' && event.open) this.#open += 1;
    if (event.type === 'state') this.#states.add(`${role} ${event.state}`);
    const isBegun = ['source precopy', 'destination precopy'].every((at) => this.#states.has(at));
    if (!isBegun || this.#open < 2 * this.laneCount) return;
    for (const shot of this.#shots) {
      const { at, when } = shot.attack;
      if (shot.done !== undefined || !this.#states.has(`${at} ${when}`)) continue;
      shot.done = this.#lanes[at][shot.lane]!.inject(shot.frame);
    }
    this.#begin();
  }

  /** Every shot was fired, and ended its lane with the error that belongs to it. */
  async assertRepelled(): Promise<void> {
    for (const { attack, frame, lane, done } of this.#shots) {
      assert.ok(done !== undefined, `an attack in state ${attack.when}`);
      await done;
      const [first] = this.#lanes[attack.at][lane]!.aborts;
      const what = `a frame of ${frame.length} bytes`;
      assert.equal((first as { code?: string } | undefined)?.code, attack.code, what);
    }
  }
}

onBothEngines('a session of real mirrors', function (engine) {
  const pairs: Pair[] = [];

  afterEach(async () => {
    for (const pair of pairs.splice(0)) await dispose(pair);
  });

  async function run(attacks: readonly Attack[]): Promise<Sent> {
    const parts = await loadParts();
    const siege = new Siege(attacks);
    const pair = await startPair({
      world: realWorld(parts, engine, 'ram=16M&dirtyRate=500'),
      engine,
      lanes: siege.laneCount,
      tap: (role, lane) => siege.tap(role, lane),
      onEvent: (role, event) => {
        siege.onEvent(role, event);
      },
    });
    pairs.push(pair);
    assertCompleted(pair, await finish(pair));
    await siege.assertRepelled();
    return siege.sent;
  }

  it('goes on without lanes that brought truncated frames or frames over their limit', async () => {
    const sent = await run([]);
    const record = sent.source.find((frame) => kindOf(frame) === KIND_PAGES)!;
    const token = sent.source.find((frame) => kindOf(frame) === KIND_TOKEN)!;
    const control = sent.source.find((frame) => kindOf(frame) === KIND_CONTROL)!;
    const longer = (frame: Buffer, bytes: number): Buffer =>
      Buffer.concat([frame, Buffer.alloc(Math.max(0, bytes - frame.length))]);
    const tooLarge = [
      longer(record, FRAME_BYTES_MAX + 1),
      longer(token, token.length + 1),
      longer(control, 96 + 512 * 1024 + 1),
      longer(Buffer.from('PFAK'), 64 * 1024 + 1),
      longer(Buffer.from('PFPI'), 65),
      longer(Buffer.concat([record.subarray(0, 5), Buffer.from([5])]), LANE_RECORD_BYTES_MAX + 1),
      Buffer.from('PFXX and something else'),
      Buffer.from('PF'),
      record.subarray(0, 95),
    ];
    const truncated = [
      record.subarray(0, -1),
      record.subarray(0, 96),
      token.subarray(0, -1),
      control.subarray(0, -1),
    ];
    const destination = { at: 'destination', when: 'precopy' } as const;
    await run([
      { ...destination, frames: tooLarge, code: 'ERR_PAGEFERRY_PROTOCOL' },
      { ...destination, frames: truncated, code: 'ERR_PAGEFERRY_RECORD' },
    ]);
  });

  it('is not moved by READY, COMMIT, answers and records of another session', async () => {
    const sent = await run([]);
    const ofKind = (role: Role, kind: number): Buffer[] =>
      sent[role].filter((frame) => kindOf(frame) === kind);
    const [toSource, toDestination] = [
      ofKind('destination', KIND_CONTROL),
      ofKind('source', KIND_CONTROL),
    ];
    // READY and what follows it; COMMIT and what comes before it.
    assert.ok(toSource.length >= 5 && toDestination.length >= 4);
    const code = 'ERR_PAGEFERRY_SESSION';
    const records = [ofKind('source', KIND_PAGES)[0]!, ofKind('source', KIND_TOKEN)[0]!];
    await run([
      { at: 'source', when: 'precopy', frames: toSource, code },
      { at: 'destination', when: 'precopy', frames: [...records, ...toDestination], code },
    ]);
  });

  it('is not moved by COMMIT of another session when it is READY', async () => {
    const sent = await run([]);
    const controls = sent.source.filter((frame) => kindOf(frame) === KIND_CONTROL);
    const commit = controls.at(-1)!;
    const code = 'ERR_PAGEFERRY_SESSION';
    await run([{ at: 'destination', when: 'ready', frames: [commit], code }]);
  });
});
