/**
 * What: the peer's opened messages in order, for the one flow of a role that reads them. What
 * belongs to which state is decided when a message is read (machine.ts), not when it arrives, so
 * it does not depend on how the event loop interleaves the two.
 */
import { ProtocolError } from '../errors.js';
import type { ControlMessage } from '../wire/control.js';
import type { Life, WaitOptions } from './life.js';
import { MESSAGES_HELD_MAX } from './limits.js';
import type { SessionMachine } from './machine.js';
import { checkBelongs } from './machine.js';

/** An opened message: control, or a piece of device state. */
export type Mail = ControlMessage | { readonly type: 'chunk'; readonly bytes: Uint8Array };
export type MailType = Mail['type'];

interface Letter {
  readonly mail: Mail;
  readonly counter: number;
}

export class Mailbox {
  readonly #mails: Letter[] = [];
  #reader: ((letter: Letter) => void) | undefined;
  #lastCounter = 0;

  constructor(
    private readonly machine: SessionMachine,
    private readonly life: Life,
  ) {}

  /** Counter of the message that `next` gave last. */
  get lastCounter(): number {
    return this.#lastCounter;
  }

  put(mail: Mail, counter: number): void {
    const reader = this.#reader;
    this.#reader = undefined;
    if (reader !== undefined) {
      reader({ mail, counter });
      return;
    }
    if (this.#mails.length >= MESSAGES_HELD_MAX) {
      const message = `the peer sent more than ${MESSAGES_HELD_MAX} messages ahead of their time`;
      const details = { field: 'messages', expected: 'answers', received: mail.type };
      this.life.fail(new ProtocolError('ERR_PAGEFERRY_UNEXPECTED_MESSAGE', message, details));
      return;
    }
    this.#mails.push({ mail, counter });
  }

  /**
   * The next message, which has to be of one of `types`. Refuses, for good, one that does not
   * belong to the state or is not what this step waits for.
   */
  async next<Type extends MailType>(
    types: readonly Type[],
    options: WaitOptions,
  ): Promise<Extract<Mail, { type: Type }>> {
    const letter = this.#mails.shift() ?? (await this.life.wait(this.#arrival(), options));
    const { mail } = letter;
    this.#lastCounter = letter.counter;
    checkBelongs(this.machine.role, this.machine.state, mail.type);
    if (!(types as readonly MailType[]).includes(mail.type)) {
      throw new ProtocolError(
        'ERR_PAGEFERRY_UNEXPECTED_MESSAGE',
        `the peer sent ${mail.type} where ${types.join(' or ')} comes`,
        { field: 'message', expected: types.join(' or '), received: mail.type },
      );
    }
    return mail as Extract<Mail, { type: Type }>;
  }

  #arrival(): Promise<Letter> {
    return new Promise((resolve) => {
      this.#reader = resolve;
    });
  }
}
