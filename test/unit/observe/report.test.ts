import { strict as assert } from 'node:assert';

import { errorCode } from '../../../src/errors.js';
import { decodeEvent, encodeEvent, EventReader } from '../../../src/observe/events.js';
import type { ProcessEvent } from '../../../src/observe/events.js';
import { failureReport, isVerified, mergeReports } from '../../../src/observe/report.js';
import { ConfigurationError } from '../../../src/errors.js';
import { sampleReport, sampleRound } from './samples.js';

const unknown = {
  ramDigestsEqual: null,
  guestSelfCheck: null,
  ticksBefore: null,
  ticksAfter: null,
} as const;

describe('the merged report', () => {
  it('takes rounds and times from the source, and the guest from the destination', () => {
    const source = sampleReport({
      verified: { ...unknown, ramDigestsEqual: true, ticksBefore: 8123 },
      peakRssBytes: { source: 1, destination: null },
      guest: { role: 'source', state: 'paused' },
    });
    const destination = sampleReport({
      rounds: [],
      downtimeMs: null,
      verified: { ...unknown, guestSelfCheck: true, ticksAfter: 9456 },
      peakRssBytes: { source: null, destination: 2 },
    });
    const merged = mergeReports(source, destination);
    assert.equal(merged.rounds.length, 2);
    assert.equal(merged.downtimeMs, 38.2);
    assert.deepEqual(merged.peakRssBytes, { source: 1, destination: 2 });
    assert.deepEqual(merged.verified, sampleReport().verified);
    assert.deepEqual(merged.guest, { role: 'destination', state: 'running' });
    assert.ok(isVerified(merged));
    assert.equal(merged.error, undefined);
  });

  it('believes the side that says the digests differ', () => {
    const differ = sampleReport({ verified: { ...unknown, ramDigestsEqual: false } });
    for (const [a, b] of [
      [sampleReport(), differ],
      [differ, sampleReport()],
    ] as const) {
      assert.equal(mergeReports(a, b).verified.ramDigestsEqual, false);
    }
  });

  it('has the worse outcome with its error, and the guest where it is', () => {
    const failed = failureReport({ code: 'ERR_PAGEFERRY_SOME', message: 'no' }, 'destination');
    const aborted = sampleReport({
      outcome: 'aborted',
      error: { code: 'ERR_PAGEFERRY_OTHER', message: 'peer' },
      verified: { ...unknown, guestSelfCheck: true, ticksBefore: 1, ticksAfter: 2 },
      guest: { role: 'source', state: 'running' },
    });
    const merged = mergeReports(aborted, failed);
    assert.equal(merged.outcome, 'failed');
    assert.equal(merged.error?.code, 'ERR_PAGEFERRY_SOME');
    assert.equal(merged.guest.role, 'source');
    assert.equal(merged.verified.ticksAfter, 2);
  });

  it('never takes ticks that stand still for a verified guest', () => {
    const { verified } = sampleReport();
    assert.ok(!isVerified(sampleReport({ verified: { ...verified, ticksAfter: 8123 } })));
    assert.ok(!isVerified(sampleReport({ verified: { ...verified, ramDigestsEqual: false } })));
  });
});

describe('events as lines', () => {
  it('come out as they went in, errors with code and message', () => {
    const round = sampleRound(3);
    assert.deepEqual(decodeEvent(encodeEvent(round)), round);
    const error = new ConfigurationError('ERR_PAGEFERRY_SECRET', 'another key');
    const told = decodeEvent(encodeEvent({ type: 'refused', remote: 'tcp://a', error }));
    assert.ok(told.type === 'refused');
    assert.equal(errorCode(told.error), 'ERR_PAGEFERRY_SECRET');
    assert.equal(told.error.message, 'another key');
  });

  it('are whole however the pipe cuts them', () => {
    const events: ProcessEvent[] = [];
    const reader = new EventReader((event) => events.push(event));
    const text = encodeEvent(sampleRound(1)) + encodeEvent({ type: 'notice', text: 'ä\n' });
    for (const character of text) reader.push(character);
    assert.deepEqual(events, [sampleRound(1), { type: 'notice', text: 'ä\n' }]);
  });
});
