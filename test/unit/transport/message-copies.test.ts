import assert from 'node:assert/strict';

import { MessageCopies } from '../../../transports/grpc/message-copies.js';
import { MESSAGE_BYTES_MAX } from '../../../transports/grpc/service.js';
import { withSeed } from '../../support/random.js';

describe('the messages of a lane over gRPC', () => {
  it('are the chunks laid end to end, none above the limit', () =>
    withSeed((random) => {
      const copies = new MessageCopies();
      for (let round = 0; round < 20; round += 1) {
        const chunks = Array.from({ length: 1 + random.below(5) }, () =>
          Buffer.alloc(random.below(2 * MESSAGE_BYTES_MAX), random.below(256)),
        );
        const messages = copies.of(chunks);
        assert.ok(messages.every(({ byteLength }) => byteLength <= MESSAGE_BYTES_MAX));
        assert.ok(Buffer.concat(messages).equals(Buffer.concat(chunks)));
        for (const message of messages) copies.giveBack(message);
      }
    }));

  it('share no memory until it is given back, and then use it again', () => {
    const copies = new MessageCopies();
    const chunk = Buffer.alloc(MESSAGE_BYTES_MAX, 1);
    const [first] = copies.of([chunk]);
    const [second] = copies.of([chunk]);
    assert.ok(first !== undefined && second !== undefined);
    assert.notEqual(first.buffer, second.buffer);
    copies.giveBack(first);
    const [third] = copies.of([chunk.subarray(1)]);
    assert.equal(third?.buffer, first.buffer);
  });

  it('that are small have memory of their own size', () => {
    const copies = new MessageCopies();
    const [small] = copies.of([Buffer.alloc(100)]);
    assert.ok(small !== undefined && small.buffer.byteLength <= Buffer.poolSize);
  });
});
