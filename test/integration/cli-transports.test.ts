/** The command line over transports with options in their addresses. */
import { strict as assert } from 'node:assert';
import { join } from 'node:path';

import { EXIT } from '../../src/cli/exit-codes.js';
import { cliFile, reportOf } from '../support/cli.js';
import { expectExit, listeningAddress, withRig } from '../support/cli-rig.js';
import { writePsk } from '../support/tls-lanes.js';

const machine = {
  name: 'engine in-process',
  file: cliFile,
  arguments: ['--engine', 'in-process'],
  guestParameters: 'backend=in-process',
};

describe('the command line over other transports', function () {
  this.timeout(60_000);

  for (const scheme of ['tls', 'unix']) {
    it(`migrates the demo over ${scheme} and verifies it`, () =>
      withRig(machine, async (rig) => {
        const end = await rig.demo('--ram', '32M', '--transport', scheme, '--json').ended;
        expectExit(end, EXIT.completed);
        const report = reportOf(end);
        assert.equal(report.transport, scheme);
        assert.equal(report.verified.ramDigestsEqual, true);
        assert.equal(report.verified.guestSelfCheck, true);
      }));
  }

  it('says who was refused for a wrong key of TLS, and takes the rightful one', () =>
    withRig(machine, async (rig) => {
      const own = `psk=${writePsk(join(rig.directory, 'lane.psk'))}`;
      const wrong = `psk=${writePsk(join(rig.directory, 'wrong.psk'))}`;
      const receive = rig.receive('--listen', `tls://127.0.0.1:0?${own}`, '--json');
      const address = await listeningAddress(receive);
      const stranger = await rig.send('ram=16M', '--to', `${address}?${wrong}`, '--json').ended;
      assert.equal(
        reportOf(stranger).error?.code,
        'ERR_PAGEFERRY_TRANSPORT_UNAUTHENTICATED',
        stranger.stderr,
      );
      assert.equal(reportOf(stranger).guest.state, 'running');
      await receive.says(/refused tls:\/\/127\.0\.0\.1:\d+: .*ERR_PAGEFERRY_TRANSPORT_UNAUTHENT/);
      const send = rig.send('ram=16M', '--to', `${address}?${own}`, '--json');
      for (const end of await Promise.all([send.ended, receive.ended])) {
        expectExit(end, EXIT.completed);
      }
    }));

  it('refuses the key of the session as the key of TLS, and an address without credentials', () =>
    withRig(machine, async (rig) => {
      for (const [address, code] of [
        [`tls://127.0.0.1:0?psk=${rig.key}`, 'CREDENTIALS'],
        ['tls://127.0.0.1:0', 'ADDRESS'],
      ] as const) {
        const end = await rig.receive('--listen', address, '--json').ended;
        assert.equal(reportOf(end).error?.code, `ERR_PAGEFERRY_TRANSPORT_${code}`, end.stderr);
      }
    }));
});
