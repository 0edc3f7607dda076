/**
 * What: a lane over one WebSocket. A binary message is a frame. The text message `goodbye` says
 * that nothing more comes: a WebSocket's own close frame is answered at once by ws, and would cut
 * off what this side has still to send.
 */
import { Buffer } from 'node:buffer';
import { BaseLane, headBytes, laneError, systemError } from 'pageferry/transport';

const goodbye = 'goodbye';

export class WebSocketLane extends BaseLane {
  #socket;
  /** Messages that came while the sink was being asked; at most what one read brought. */
  #arrived = [];
  #isReading = false;
  #isReserving = false;

  /** `socket` is open and paused; it is the lane's from here on. */
  constructor({ socket, ...options }) {
    super(options);
    this.#socket = socket;
    socket.on('message', (data, isBinary) => {
      this.#arrived.push({ data, isBinary });
      this.#next();
    });
    socket.on('error', (error) => this.fail(this.#receiveError(error)));
    socket.on('close', () => {
      const message = `${this.remote} is gone without a goodbye`;
      this.fail(laneError('PEER_GONE', message, { phase: 'receive', retryable: true }));
      this.released();
    });
  }

  transmit(frames, done) {
    let left = frames.length;
    const sent = (error) => {
      left -= 1;
      // An error also ends the lane, by an event.
      if (left === 0 && !error) done();
    };
    for (const { parts } of frames) this.#sendMessage(parts, sent);
  }

  transmitGoodbye(done) {
    this.#socket.send(goodbye, (error) => {
      if (!error) done();
    });
  }

  startReading() {
    this.#isReading = true;
    this.#next();
    this.#resumeOrPause();
  }

  release(graceful) {
    this.#arrived.length = 0;
    if (graceful) {
      // What was sent goes out before the close frame; ws cuts whoever does not answer that.
      this.#socket.resume();
      this.#socket.close(1000);
    } else {
      this.#socket.terminate();
    }
  }

  /** The parts as fragments of one message: ws would copy to join them. */
  #sendMessage(parts, sent) {
    const filled = parts.filter((part) => part.byteLength > 0);
    const last = filled.pop() ?? Buffer.alloc(0);
    for (const part of filled) this.#socket.send(part, { binary: true, fin: false });
    this.#socket.send(last, { binary: true, fin: true }, sent);
  }

  #next() {
    while (this.#isReading && !this.#isReserving && this.status !== 'closed') {
      const message = this.#arrived.shift();
      if (message === undefined) break;
      if (message.isBinary) this.#take(message.data);
      else this.#hear(message.data);
    }
    this.#resumeOrPause();
  }

  #resumeOrPause() {
    if (this.status === 'closed') return;
    if (this.#isReading && !this.#isReserving) this.#socket.resume();
    else this.#socket.pause();
  }

  #take(data) {
    this.#isReserving = true;
    const memory = this.inbox.reserve(data.length, data.subarray(0, headBytes), (later) => {
      this.#deliver(data, later);
      this.#next();
    });
    if (memory !== undefined) this.#deliver(data, memory);
  }

  #deliver(data, memory) {
    this.#isReserving = false;
    data.copy(memory);
    this.inbox.complete();
  }

  #hear(data) {
    if (data.toString() === goodbye && !this.peerClosed) {
      this.peerSaidGoodbye();
      return;
    }
    const message = `${this.remote} sent a text that is no goodbye`;
    this.fail(laneError('GARBAGE', message, { phase: 'receive' }));
  }

  #receiveError(error) {
    if (error.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH') {
      const message = `${this.remote} sent a frame above the limit of ${this.maxFrameBytes} bytes`;
      return laneError('FRAME_TOO_LARGE', message, { phase: 'receive', cause: error });
    }
    if (String(error.code).startsWith('WS_ERR')) {
      const message = `${this.remote} does not speak WebSocket`;
      return laneError('GARBAGE', message, { phase: 'receive', cause: error });
    }
    return systemError(error, 'receive', `receive from ${this.remote}`);
  }
}
