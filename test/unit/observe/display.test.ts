import { strict as assert } from 'node:assert';

import type { DisplayStream } from '../../../src/observe/display.js';
import { LiveDisplay } from '../../../src/observe/live.js';
import { PlainDisplay } from '../../../src/observe/plain.js';
import { tableHead, tableRow } from '../../../src/observe/rounds.js';
import { makeStyle } from '../../../src/observe/style.js';
import { statusLines } from '../../../src/observe/status.js';
import { summaryLines } from '../../../src/observe/summary.js';
import type { MigrationStatus } from '../../../src/session/types.js';
import { TestTerminal } from '../../support/terminal.js';
import { sampleReport, sampleRound, sessionId } from './samples.js';

const plain = makeStyle({ isTerminal: false, environment: {} });

class Collected implements DisplayStream {
  text = '';
  write(text: string): boolean {
    this.text += text;
    return true;
  }
}

describe('the display of pipes', () => {
  it('tells each round and each change in one line, and no progress', () => {
    const stream = new Collected();
    const display = new PlainDisplay(stream);
    display.begin({ title: 'pageferry send', facts: [['guest', 'demo:']] });
    display.event({ type: 'state', role: 'source', state: 'precopy' });
    display.event({ type: 'established', sessionId, ramBytes: 2 ** 29 });
    display.event({
      type: 'progress',
      role: 'source',
      epoch: 1,
      pagesDone: 1,
      pagesTotal: 2,
      wireBytes: 3,
      plainBytes: 4,
      bytesPerSecond: 5,
    });
    display.event(sampleRound(1));
    display.end(['the end']);
    assert.deepEqual(stream.text.split('\n'), [
      'pageferry send: guest demo:',
      'source: copying memory while the guest runs',
      `session ${sessionId}: 512 MiB of guest RAM`,
      'round 1: 104,858 pages, 26,214 zero pages, 213 MiB sent in 2.00 s, 112 MB/s, ratio 1.92, ' +
        '2,001 dirty pages/s, estimated downtime 120 ms',
      'the end',
      '',
    ]);
  });

  it('tells the last round, which comes only with the report', () => {
    const stream = new Collected();
    const display = new PlainDisplay(stream);
    display.event(sampleRound(1));
    display.event({ type: 'ended', report: sampleReport() });
    const [first = '', last = ''] = stream.text.split('\n');
    assert.match(first, /^round 1: .*estimated downtime/);
    assert.match(last, /^round 2: .*ratio 1\.92$/);
  });

  it('lets no control character of a peer through', () => {
    const stream = new Collected();
    const display = new PlainDisplay(stream);
    const error = new Error('no \u001b]0;title\u0007\u009b31m key');
    display.event({ type: 'refused', remote: 'tcp://a\nb', error });
    // eslint-disable-next-line no-control-regex -- their absence is the claim
    assert.doesNotMatch(stream.text.trimEnd(), /[\u0000-\u001f\u007f-\u009f]/);
  });
});

describe('the live display', () => {
  for (const columns of [80, 120]) {
    it(`keeps within ${columns} columns and leaves header and rounds above the bar`, () => {
      const terminal = new TestTerminal(columns);
      let now = 0;
      const style = makeStyle({ isTerminal: true, environment: { LANG: 'C.UTF-8' } });
      const display = new LiveDisplay({ stream: terminal, style, now: () => now });
      display.begin({ title: 'pageferry demo', facts: [['guest', '512 MiB']] });
      display.event({ type: 'state', role: 'source', state: 'precopy' });
      display.event({ type: 'established', sessionId, ramBytes: 2 ** 29 });
      for (const [index, pagesDone] of [0, 32_768, 65_536].entries()) {
        now = index * 500;
        display.event({
          type: 'progress',
          role: 'source',
          epoch: 1,
          pagesDone,
          pagesTotal: 131_072,
          wireBytes: 3,
          plainBytes: 4,
          bytesPerSecond: 5.1e8,
        });
      }
      display.redraw();
      const bar = terminal.lines.find((line) => line.includes('round 1')) ?? '';
      assert.match(bar, /━+─+ +50 % {2}65,536\/131,072 pages {2}510 MB\/s {2}ETA 0:01$/);
      assert.ok(terminal.lines.some((line) => line.includes('copying memory')));
      display.event(sampleRound(1));
      display.event(sampleRound(2));
      display.redraw();
      const at = terminal.lines.findIndex((line) => line.includes('est. downtime'));
      assert.ok(at > 0);
      assert.match(terminal.lines[at + 1] ?? '', / 1 +104,858 /);
      assert.match(terminal.lines[at + 2] ?? '', / 2 +104,858 /);
      for (const line of terminal.lines) assert.ok(line.length <= columns, line);
      display.end(['done']);
      assert.equal(terminal.lines.filter((line) => line !== '').at(-1), 'done');
      assert.ok(!terminal.lines.some((line) => line.includes('copying memory')), 'bars are gone');
      assert.ok(terminal.isCursorShown);
    });
  }

  it('draws no more often than ten times a second, whatever comes', async () => {
    const terminal = new TestTerminal(80);
    const display = new LiveDisplay({ stream: terminal, style: plain });
    display.begin({ title: 't', facts: [] });
    const before = terminal.writes;
    for (let pagesDone = 0; pagesDone < 10_000; pagesDone += 1) {
      display.event({
        type: 'progress',
        role: 'source',
        epoch: 1,
        pagesDone,
        pagesTotal: 10_000,
        wireBytes: 0,
        plainBytes: 0,
        bytesPerSecond: 0,
      });
    }
    await new Promise((resolve) => setTimeout(resolve, 250));
    assert.ok(terminal.writes - before < 100, `${terminal.writes - before} writes`);
    display.end([]);
  });

  it('aligns the table with its head', () => {
    for (const width of [80, 120]) {
      const head = tableHead(width);
      assert.equal(tableRow(sampleRound(1), width).length, head.length);
      assert.ok(head.length <= width);
    }
    assert.match(tableHead(120), /zero/);
  });
});

describe('the summary', () => {
  it('begins with the verdict', () => {
    const first = (changes: Parameters<typeof sampleReport>[0]): string =>
      summaryLines(sampleReport(changes), plain)[1] ?? '';
    const { verified } = sampleReport();
    assert.equal(first({}), '✓ migrated and verified in 2.89 s');
    assert.match(first({ verified: { ...verified, guestSelfCheck: false } }), /NOT VERIFIED/);
    assert.match(first({ verified: { ...verified, ticksAfter: 8123 } }), /NOT VERIFIED/);
    assert.match(first({ verified: { ...verified, ramDigestsEqual: null } }), /not compared/);
    assert.equal(first({ outcome: 'aborted' }), '✗ aborted');
  });

  it('says why the guest stood still for longer than it may', () => {
    const convergence = {
      policy: null,
      chosen: 'none',
      reason: 'fixed-cost',
      detail: 'digests',
      throttlePercent: 0,
      downtimeLimitMs: 20,
      estimatedDowntimeMs: 35,
    } as const;
    const lines = summaryLines(sampleReport({ convergence }), plain).join('\n');
    assert.match(lines, /38 ms, above the limit of 20 ms \(the forecast was 35 ms; digests\)/);
    const kept = sampleReport({ convergence: { ...convergence, downtimeLimitMs: 300 } });
    assert.match(summaryLines(kept, plain).join('\n'), /downtime {4}38 ms$/m);
  });

  it('shows a running session, held or not', () => {
    const status: MigrationStatus = {
      ...sampleReport(),
      outcome: 'running',
      role: 'source',
      state: 'precopy',
      isPaused: true,
      settings: { maxBandwidthBytesPerSecond: 5e7, downtimeLimitMs: 300, onStall: 'throttle' },
      progress: { epoch: 2, pagesDone: 50, pagesTotal: 200, bytesPerSecond: 1e6 },
    };
    const text = statusLines('source-4711', status).join('\n');
    assert.match(text, new RegExp(`^${sessionId}  source-4711\n`));
    assert.match(text, /copying memory while the guest runs, held/);
    assert.match(text, /2: 25 %, 50\/200 pages, 1 MB\/s/);
    assert.match(text, /at most 50 MB\/s, downtime limit 300 ms, on stall throttle/);
  });

  it('says nothing of a session that never was', () => {
    const report = sampleReport({ outcome: 'failed', sessionId: '' });
    assert.deepEqual(summaryLines(report, plain, ['error: x']), ['', '✗ failed', '  error: x', '']);
  });

  it('has no colours where NO_COLOR is set or nobody looks', () => {
    for (const environment of [{ NO_COLOR: '1' }, { TERM: 'dumb' }]) {
      assert.equal(makeStyle({ isTerminal: true, environment }).red('x'), 'x');
    }
    assert.equal(makeStyle({ isTerminal: false, environment: {} }).red('x'), 'x');
    assert.equal(
      makeStyle({ isTerminal: true, environment: {} }).red('x'),
      '\u001b[31mx\u001b[39m',
    );
  });
});
