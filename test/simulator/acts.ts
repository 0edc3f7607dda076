/** Makes the incidents of a plan happen. */
import type { SessionControl } from '../../src/session/session-control.js';
import type { Role } from '../../src/session/types.js';
import type { SimNetwork } from './network.js';
import type { Incident } from './plan.js';
import type { VirtualTime } from './time.js';
import type { Watch } from './watch.js';

/** What incidents happen to. */
export interface ActedWorld {
  readonly time: VirtualTime;
  readonly network: SimNetwork;
  readonly watch: Watch;
  readonly stops: Readonly<Record<Role, AbortController>>;
  readonly controls: Readonly<Record<Role, SessionControl>>;
  /** Something answered as nothing should. */
  fail(error: Error): void;
}

export class Acts {
  /** The dialing side's; it gives it when it begins. */
  setLanes: ((count: number) => void) | undefined;

  constructor(private readonly world: ActedWorld) {}

  /** From now on, or from the moment that the side is in its state. */
  schedule(incident: Incident): void {
    const { afterMs, state } = incident.when;
    const happen = (): void => {
      this.world.watch.note(incident.act);
      this.#happen(incident);
    };
    // At once means inside the very step that made the state.
    if (afterMs === 0 && state !== undefined) happen();
    else this.world.time.after(afterMs, happen);
  }

  #happen(incident: Incident): void {
    const network = this.world.network;
    switch (incident.act) {
      case 'cut':
        network.cut(incident.which);
        return;
      case 'stall':
        network.stall(incident.which, incident.forMs);
        return;
      case 'part':
        network.part(incident.forMs, incident.isSilent);
        return;
      case 'stop':
        if (incident.by === 'signal') this.world.stops[incident.role].abort();
        else this.#cancel(incident.role);
        return;
      case 'die':
        this.world.watch.side(incident.role).mirror?.die();
        return;
      case 'hold':
        this.#steer(() => {
          this.world.controls.source.pause();
        });
        this.world.time.after(incident.forMs, () => {
          this.#steer(() => {
            this.world.controls.source.resume();
          });
        });
        return;
      case 'limit':
        this.#steer(() =>
          this.world.controls.source.set({ maxBandwidthBytesPerSecond: incident.bytesPerSecond }),
        );
        return;
      case 'lanes':
        this.setLanes?.(incident.count);
        return;
    }
  }

  /** Somebody who is told that there is no session yet tries again. */
  #cancel(role: Role): void {
    this.#steer(() => {
      try {
        this.world.controls[role].cancel();
      } catch (error) {
        if ((error as { code?: string }).code !== 'ERR_PAGEFERRY_CONTROL_EARLY') throw error;
        this.world.time.after(1, () => {
          this.#cancel(role);
        });
      }
    });
  }

  /** A user's wish that comes too early or too late is refused, typed; that is all. */
  #steer(wish: () => unknown): void {
    try {
      wish();
    } catch (error) {
      const code = (error as { code?: string }).code ?? '';
      if (!code.startsWith('ERR_PAGEFERRY_CONTROL')) this.world.fail(error as Error);
    }
  }
}
