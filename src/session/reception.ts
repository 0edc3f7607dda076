/** What: steps of the destination that stand on their own: the guest's blocks, the device state. */
import { ProtocolError } from '../errors.js';
import type { Guest } from '../guest/contract.js';
import type { WireLayout } from '../wire/layout.js';
import type { SessionCore } from './core.js';

/** The provider built what the layout says; the helper's block table will be made of it. */
export function checkGuest(guest: Guest, layout: WireLayout): void {
  const describe = (blocks: Guest['layout']['blocks']): string =>
    blocks
      .map(({ id, ramAddr, bytes }) => `${id}: ${ramAddr} + ${bytes}`)
      .sort()
      .join(', ');
  const [expected, received] = [describe(layout.blocks), describe(guest.blocks)];
  if (expected === received) return;
  throw new ProtocolError(
    'ERR_PAGEFERRY_LAYOUT',
    'the guest that was opened has other RAM blocks than the layout asks for',
    { field: 'blocks', expected, received },
  );
}

/** The device state's pieces, up to its end; refuses more or fewer than `bytes`. */
export async function receiveDeviceState(core: SessionCore, bytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let received = 0;
  const wait = core.peerWait('did not send all of the device state');
  for (;;) {
    const mail = await core.mailbox.next(['chunk', 'device-state-end'], wait);
    if (mail.type === 'chunk') {
      received += mail.bytes.length;
      if (received <= bytes) {
        chunks.push(mail.bytes);
        continue;
      }
    }
    if (received === bytes) return Buffer.concat(chunks, bytes);
    const details = { field: 'device state', expected: `${bytes}`, received: `${received}` };
    const message = `the peer announced ${bytes} bytes of device state and sent ${received}`;
    throw new ProtocolError('ERR_PAGEFERRY_PROTOCOL', message, details);
  }
}
