/**
 * What: a session without what protects records of pages, to measure what that costs: the source
 * forgets a record as soon as its lane has it, the destination acknowledges none. A lost lane
 * would lose memory. It lives here, and takes effect in the process that asks for it, so that no
 * option of the product can ever switch protection off.
 */
import { PF_CLASS_PAGES } from '../src/native/abi.generated.js';
import { Acknowledger } from '../src/session/acknowledger.js';
import type { LaneSet } from '../src/session/lane-set.js';
import { Outbox, type Shipment } from '../src/session/outbox.js';

type Ship = (shipment: Shipment) => void;
type Add = Acknowledger['add'];

function shipAndForget(this: Outbox, protectedShip: Ship, shipment: Shipment): void {
  const { lanes } = this as unknown as { readonly lanes: LaneSet };
  const lane =
    shipment.recordClass === PF_CLASS_PAGES ? lanes.pick(shipment.bytes.length) : undefined;
  if (lane === undefined) {
    protectedShip.call(this, shipment);
    return;
  }
  lane.send([shipment.bytes], shipment.urgent).then(
    () => {
      shipment.done(true);
    },
    () => {
      shipment.done(false);
    },
  );
}

/** From now on in this process; the function it gives ends it. */
export function dropProtection(): () => void {
  const outbox: { ship: Ship } = Outbox.prototype;
  const acknowledger: { add: Add } = Acknowledger.prototype;
  const { ship } = outbox;
  const { add } = acknowledger;
  outbox.ship = function (this: Outbox, shipment) {
    shipAndForget.call(this, ship, shipment);
  };
  acknowledger.add = function (this: Acknowledger, lane, recordClass, stream, counter) {
    if (recordClass !== PF_CLASS_PAGES) add.call(this, lane, recordClass, stream, counter);
  };
  return () => {
    outbox.ship = ship;
    acknowledger.add = add;
  };
}
