/**
 * What: sends acknowledgements: for each lane those of the records that came on it, one frame per
 * turn of the event loop. On the same lane, because then a lane's loss takes the records and their
 * acknowledgements alike, and the source resends exactly what it has to.
 */
import { AckCollector } from '../wire/ack.js';
import type { Clock } from './clock.js';
import type { SessionLane } from './session-lane.js';

export class Acknowledger {
  readonly #lanes = new Map<SessionLane, AckCollector>();
  #isScheduled = false;

  constructor(private readonly clock: Clock) {}

  add(lane: SessionLane, recordClass: number, stream: number, counter: number): void {
    if (!lane.isOpen) return;
    const known = this.#lanes.get(lane);
    const collector = known ?? new AckCollector();
    if (known === undefined) this.#lanes.set(lane, collector);
    collector.add(recordClass, stream, counter);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.clock.soon(() => {
      this.flush();
    });
  }

  /** Sends what has been collected, at once: before a lane is closed. */
  flush(): void {
    this.#isScheduled = false;
    for (const [lane, collector] of this.#lanes) {
      for (const frame of collector.takeFrames()) {
        if (lane.isOpen) lane.post(frame);
      }
    }
    this.#lanes.clear();
  }
}
