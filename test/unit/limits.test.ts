import { strict as assert } from 'node:assert';

import * as abiConstants from '../../src/native/abi.generated.js';
import * as limitConstants from '../../src/limits.js';

type Numbers<T> = { readonly [K in keyof T]: T[K] extends number ? number : T[K] };

// As plain numbers: to the compiler the constants are literals, and every claim is settled.
const abi: Numbers<typeof abiConstants> = abiConstants;
const limits: Numbers<typeof limitConstants> = limitConstants;

describe('limits', () => {
  it('find room for every command in a ring', () => {
    assert.ok(limits.RING_COMMANDS * abi.PF_CHAIN_MAX <= limits.RING_ENTRIES);
    assert.ok(limits.RING_ENTRIES <= abi.PF_RING_ENTRIES_MAX);
    assert.ok(
      abi.PF_RING_ENTRIES_MAX < 2 ** 16,
      'a free-running 16-bit index tells full from empty',
    );
  });

  it('put the largest record into a slot of whole pages', () => {
    assert.ok(limits.SLOT_BYTES >= abi.PF_RECORD_BYTES_MAX);
    assert.equal(limits.SLOT_BYTES % abi.PF_PAGE_BYTES, 0);
    assert.ok(limits.SLOT_BYTES - abi.PF_RECORD_BYTES_MAX < abi.PF_PAGE_BYTES);
  });

  it('put every record and every message into a frame', () => {
    assert.ok(limits.FRAME_BYTES_MAX >= abi.PF_RECORD_BYTES_MAX + limits.FRAME_HEAD_BYTES_MAX);
    assert.ok(limits.SEALED_MESSAGE_BYTES_MAX <= abi.PF_RECORD_BYTES_MAX);
    assert.ok(abi.PF_TOKEN_BYTES <= abi.PF_MESSAGE_BYTES_MAX);
  });

  it('put every list of runs into a list area', () => {
    assert.equal(abi.PF_RECORD_LIST_BYTES_MAX, 8 * abi.PF_RECORD_RUNS_MAX);
    assert.ok(abi.PF_RECORD_RUNS_MAX >= 2 * abi.PF_RECORD_DATA_PAGES_MAX);
  });

  it('keep an honest source inside the destination window of counters', () => {
    assert.ok(limits.UNACKNOWLEDGED_RECORDS_MAX * 2 <= abi.PF_STREAM_WINDOW);
    assert.ok(limits.WINDOW_BYTES_LIMIT / limits.SLOT_BYTES < limits.UNACKNOWLEDGED_RECORDS_MAX);
  });

  it('leave room for rings and areas in the largest window', () => {
    const rings = abi.PF_VCPUS_MAX * abi.PF_RING_STRIDE;
    const request = abi.PF_REQUEST_BYTES + abi.PF_RESPONSE_BYTES + abi.PF_RECORD_LIST_BYTES_MAX;
    const areas = abi.PF_VCPUS_MAX * limits.RING_COMMANDS * limits.roundUp(request, 4096);
    const messages = 2 * limits.SLOT_BYTES;
    const total = rings + areas + messages + limits.WINDOW_BYTES_LIMIT;
    assert.ok(total <= abi.PF_WINDOW_BYTES_MAX);
  });

  it('make the default window one that sealing can overlap sending in', () => {
    assert.ok(limits.WINDOW_BYTES_DEFAULT <= limits.WINDOW_BYTES_LIMIT);
    assert.ok(limits.WINDOW_BYTES_DEFAULT / limits.SLOT_BYTES >= 4 * limits.SLOTS_MIN);
  });
});
