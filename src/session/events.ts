/** What: tells the session's user what happens; a user's callback that throws harms nobody. */
import type { SessionEvent } from './types.js';

export class EventEmitter {
  constructor(private readonly onEvent: ((event: SessionEvent) => void) | undefined) {}

  emit(event: SessionEvent): void {
    try {
      this.onEvent?.(event);
    } catch (error) {
      process.emitWarning(error instanceof Error ? error : String(error), {
        code: 'PAGEFERRY_EVENT',
        detail: `thrown by onEvent for an event of type ${event.type}`,
      });
    }
  }
}
