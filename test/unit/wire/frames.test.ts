import { strict as assert } from 'node:assert';

import { PF_RECORD_BYTES_MAX } from '../../../src/native/abi.generated.js';
import { ProtocolError } from '../../../src/errors.js';
import { AckCollector, checkAck, encodeAck, toRanges } from '../../../src/wire/ack.js';
import { handshakeContext } from '../../../src/wire/context.js';
import type { OutgoingControl } from '../../../src/wire/control.js';
import {
  decodeControl,
  decodeLaneJoin,
  encodeControl,
  encodeLaneJoin,
} from '../../../src/wire/control.js';
import { decodeFrame, encodeFrame, frameKind } from '../../../src/wire/frames.js';
import { PeerRole, Refusal } from '../../../src/wire/generated/frames_pb.js';
import { ACK_RANGES_MAX } from '../../../src/wire/limits.js';
import { printable } from '../../../src/wire/problem.js';
import { recordKind } from '../../../src/wire/record-head.js';
import { withSeed } from '../../support/random.js';
import { mutate } from '../../support/session/mutation.js';

const hello = {
  versionMin: 1,
  versionMax: 1,
  role: PeerRole.SOURCE,
  session: new Uint8Array(16).fill(7),
  lane: 3,
  product: 'pageferry 0.1.0',
};

const controls: readonly OutgoingControl[] = [
  { type: 'layout-accepted', engine: 'kvm' },
  { type: 'epoch-accepted', epoch: 7, start: true, digestMs: 12.5, measuringMs: 3 },
  { type: 'hold', isPaused: true },
  { type: 'epoch-accepted', epoch: 8, start: false, digestMs: undefined, measuringMs: 0 },
  { type: 'device-state-begin', bytes: 12345 },
  { type: 'device-state-end' },
  { type: 'ready', digest: new Uint8Array(32).fill(9) },
  { type: 'ready', digest: undefined },
  { type: 'commit', digest: new Uint8Array(32), ticks: 0, peakRssBytes: 2 ** 40 },
  { type: 'committed' },
  { type: 'aborted', code: 'ERR_PAGEFERRY_ABORTED', message: 'stopped' },
  { type: 'abort', asks: true, code: 'ERR_PAGEFERRY_ABORTED', message: 'stopped' },
  {
    type: 'summary',
    peakRssBytes: 5,
    resumeMs: 1.5,
    ticks: 12,
    selfCheck: { ok: true, pagesChecked: 4, badPages: 0 },
  },
];

describe('the wire codec', () => {
  it('gives back the frames in the clear that it made', () => {
    const frame = decodeFrame(encodeFrame('hello', hello));
    assert.equal(frame.kind, 'hello');
    assert.equal(frame.message.lane, 3);
    assert.deepEqual(frame.message.session, hello.session);
    const ping = decodeFrame(encodeFrame('ping', { value: 2n ** 63n }));
    assert.ok(ping.kind === 'ping' && ping.message.value === 2n ** 63n);
  });

  it('gives back the control messages that it made', () => {
    for (const control of controls) {
      const decoded = decodeControl(encodeControl(control));
      assert.deepEqual(JSON.parse(JSON.stringify(decoded)), JSON.parse(JSON.stringify(control)));
    }
  });

  it('gives back lane joins, and refuses short ones and large numbers', () => {
    const join = { session: new Uint8Array(16), lane: 63, nonce: new Uint8Array(16), accept: true };
    const decoded = decodeLaneJoin(encodeLaneJoin(join));
    assert.equal(decoded.lane, 63);
    assert.equal(decoded.accept, true);
    for (const wrong of [{ lane: 64 }, { nonce: new Uint8Array(15) }, { session: Buffer.of(1) }]) {
      assert.throws(() => decodeLaneJoin(encodeLaneJoin({ ...join, ...wrong })), ProtocolError);
    }
  });

  it('refuses unknown and short fourccs and frames above the limit of their kind', () => {
    assert.throws(() => frameKind(Buffer.from('GET '), 100), ProtocolError);
    assert.throws(() => frameKind(Buffer.from('PF'), 2), ProtocolError);
    assert.throws(() => frameKind(Buffer.alloc(0), 0), ProtocolError);
    assert.throws(() => frameKind(Buffer.from('PFPI'), 65), ProtocolError);
    assert.throws(() => frameKind(Buffer.from('PFHI'), 1 << 20), ProtocolError);
    assert.throws(() => frameKind(Buffer.from('PFR1'), PF_RECORD_BYTES_MAX + 1), ProtocolError);
    assert.equal(frameKind(Buffer.from('PFR1'), PF_RECORD_BYTES_MAX), 'record');
  });

  it('refuses records of unknown kind, too short, and above the limit of their kind', () => {
    const head = (kind: number): Buffer => Buffer.from([0x50, 0x46, 0x52, 0x31, 1, kind, 0, 0]);
    assert.equal(recordKind(head(1), PF_RECORD_BYTES_MAX), 'pages');
    assert.equal(recordKind(head(4), 272), 'token');
    for (const [kind, bytes] of [
      [0, 100],
      [6, 100],
      [1, 95],
      [2, 600_000],
      [4, 273],
      [5, 513],
    ] as const) {
      assert.throws(() => recordKind(head(kind), bytes), ProtocolError, `${kind}, ${bytes}`);
    }
    assert.throws(() => recordKind(Buffer.alloc(0), 100), ProtocolError);
  });

  it('shows no control characters and no endless texts of a peer', () => {
    assert.equal(printable('a\u001b[31mb\n\u202e', 100), 'a?[31mb??');
    assert.equal(printable('x'.repeat(1000), 10).length, 10);
    const message = '\u0007'.repeat(5000);
    const decoded = decodeControl(
      encodeControl({ type: 'abort', asks: false, code: 'A', message }),
    );
    assert.ok(decoded.type === 'abort' && /^\?+…?$/.test(decoded.message));
  });

  it('refuses figures that no number holds, and digests of another length', () => {
    const ready = encodeControl({ type: 'ready', digest: new Uint8Array(31) });
    assert.throws(() => decodeControl(ready), ProtocolError);
    const begin = encodeControl({ type: 'device-state-begin', bytes: 2 ** 40 });
    assert.throws(() => decodeControl(begin), ProtocolError);
    const summary = { type: 'summary', peakRssBytes: 1, ticks: 1, selfCheck: undefined } as const;
    for (const resumeMs of [NaN, Infinity, -1]) {
      assert.throws(() => decodeControl(encodeControl({ ...summary, resumeMs })), ProtocolError);
    }
    assert.throws(() => decodeControl(new Uint8Array(0)), ProtocolError);
  });

  it('answers hostile bytes with nothing but a ProtocolError', async () => {
    const frames = [
      encodeFrame('hello', hello),
      encodeFrame('hello-reply', { version: 1, role: PeerRole.SOURCE }),
      encodeFrame('goodbye', { code: Refusal.SECRET, message: 'no' }),
      encodeFrame('handshake', { step: 1, message: new Uint8Array(96) }),
      encodeAck([{ recordClass: 1, stream: 0, ranges: [{ first: 5, count: 9 }] }]),
    ];
    const sealed = controls.map(encodeControl);
    await withSeed((random) => {
      for (let round = 0; round < 20_000; round += 1) {
        const decode = round % 2 === 0 ? decodeFrame : decodeControl;
        const inputs = round % 2 === 0 ? frames : sealed;
        const bytes = mutate(random, inputs[random.below(inputs.length)]!);
        try {
          const decoded = decode(bytes);
          if ('kind' in decoded && decoded.kind === 'ack') checkAck(decoded.message);
        } catch (error) {
          const shown = Buffer.from(bytes).toString('hex');
          assert.ok(error instanceof ProtocolError, `bytes ${shown}: ${String(error)}`);
        }
      }
    });
  });
});

describe('acknowledgements', () => {
  it('cover exactly the counters given, in any order and repeated', () => {
    assert.deepEqual(toRanges([]), []);
    assert.deepEqual(toRanges([3, 1, 2, 2, 9, 8, 5]), [
      { first: 1, count: 3 },
      { first: 5, count: 1 },
      { first: 8, count: 2 },
    ]);
    return withSeed((random) => {
      for (let round = 0; round < 200; round += 1) {
        const counters = Array.from({ length: random.below(300) }, () => random.below(500));
        const covered = toRanges(counters).flatMap(({ first, count }) =>
          Array.from({ length: count }, (_, index) => first + index),
        );
        const expected = [...new Set(counters)].sort((left, right) => left - right);
        assert.deepEqual(covered, expected);
      }
    });
  });

  it('go out as few frames, and come back the same', () => {
    const collector = new AckCollector();
    for (let counter = 1; counter <= 100; counter += 1) collector.add(1, 3, counter);
    collector.add(2, 0, 7);
    const sets = collector.takeFrames().flatMap((bytes) => {
      const frame = decodeFrame(bytes);
      assert.ok(frame.kind === 'ack');
      return checkAck(frame.message);
    });
    assert.deepEqual(sets, [
      { recordClass: 1, stream: 3, ranges: [{ first: 1, count: 100 }] },
      { recordClass: 2, stream: 0, ranges: [{ first: 7, count: 1 }] },
    ]);
    assert.ok(collector.isEmpty);
    assert.deepEqual(collector.takeFrames(), []);
  });

  it('stay within the limit of a frame when nothing is in sequence', () => {
    const collector = new AckCollector();
    for (let index = 0; index < 3 * ACK_RANGES_MAX; index += 1) collector.add(1, 0, index * 2 + 1);
    assert.equal(collector.takeFrames().length, 3);
  });

  it('are refused with impossible classes, streams, counts and counters', () => {
    const check = (recordClass: number, stream: number, first: bigint, count: number): void => {
      const sets = [{ recordClass, stream, ranges: [{ first, count }] }];
      const frame = decodeFrame(encodeFrame('ack', { sets }));
      assert.ok(frame.kind === 'ack');
      checkAck(frame.message);
    };
    check(1, 0, 1n, 1);
    for (const [recordClass, stream, first, count] of [
      [0, 0, 1n, 1],
      [5, 0, 1n, 1],
      [1, 16, 1n, 1],
      [1, 0, 1n, 0],
      [1, 0, 1n, 4_000_000],
      [1, 0, 2n ** 60n, 1],
    ] as const) {
      assert.throws(() => {
        check(recordClass, stream, first, count);
      }, ProtocolError);
    }
  });
});

describe('the handshake context', () => {
  it('differs for every parameter that two sides could disagree about', () => {
    const base = {
      versionMin: 1,
      versionMax: 2,
      version: 1,
      dialer: 'source',
      listener: 'destination',
    } as const;
    const contexts = [
      base,
      { ...base, versionMin: 0 },
      { ...base, versionMax: 3 },
      { ...base, version: 2 },
      { ...base, dialer: 'destination', listener: 'source' } as const,
    ].map((parameters) => Buffer.from(handshakeContext(parameters)).toString('hex'));
    assert.equal(new Set(contexts).size, contexts.length);
    assert.equal(
      contexts[0],
      Buffer.from('pageferry wire context\0', 'latin1').toString('hex') +
        '01000000' +
        '02000000' +
        '01000000' +
        '01' +
        '02',
    );
  });
});
