import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import {
  EXIT,
  EXIT_MEANINGS,
  exitCodeOfError,
  exitCodeOfReport,
} from '../../../src/cli/exit-codes.js';
import { ConfigurationError, IntegrityError } from '../../../src/errors.js';
import type { ErrorCode } from '../../../src/errors.js';
import type { MigrationReport } from '../../../src/session/types.js';
import { projectRoot } from '../../support/project.js';
import { sampleReport } from '../observe/samples.js';

const atSource = { role: 'source', state: 'running' } as const;
const failed = (code: ErrorCode, guest: MigrationReport['guest']): MigrationReport =>
  sampleReport({ outcome: 'failed', error: { code, message: '' }, guest });

describe('exit codes', () => {
  it('say how a migration ended', () => {
    assert.equal(exitCodeOfReport(sampleReport()), EXIT.completed);
    const lost = 'ERR_PAGEFERRY_LANES_LOST';
    assert.equal(exitCodeOfReport(failed(lost, atSource)), EXIT.aborted);
    assert.equal(exitCodeOfReport(failed('ERR_PAGEFERRY_SECRET', atSource)), EXIT.refused);
    const paused = { role: 'source', state: 'paused' } as const;
    assert.equal(exitCodeOfReport(failed('ERR_PAGEFERRY_IN_DOUBT', paused)), EXIT.inDoubt);
    const gone = { role: 'destination', state: 'gone' } as const;
    assert.equal(exitCodeOfReport(failed(lost, gone)), EXIT.aborted);
    const neverMet = { ...failed(lost, gone), sessionId: '' };
    assert.equal(exitCodeOfReport(neverMet), EXIT.failed);
  });

  it('never call a guest that fails its check completed', () => {
    const { verified } = sampleReport();
    const report = sampleReport({ verified: { ...verified, guestSelfCheck: false } });
    assert.equal(exitCodeOfReport(report), EXIT.failed);
  });

  it('tell usage from refusal and failure', () => {
    assert.equal(exitCodeOfError(new ConfigurationError('ERR_PAGEFERRY_X', '')), EXIT.usage);
    assert.equal(exitCodeOfError(new IntegrityError('ERR_PAGEFERRY_X', '')), EXIT.refused);
    assert.equal(exitCodeOfError(new Error('x')), EXIT.failed);
  });

  it('are the ones docs/cli.md documents', () => {
    const text = readFileSync(join(projectRoot, 'docs', 'cli.md'), 'utf8');
    for (const [code, meaning] of EXIT_MEANINGS) {
      assert.ok(text.includes(`| ${code} | ${meaning} |`), `${code} ${meaning}`);
    }
  });
});
