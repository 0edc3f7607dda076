/**
 * What: the contract between the session and a transport plugin. A transport moves opaque, bounded
 * frames over duplex lanes; it never looks into them and knows neither pages nor sessions.
 * Who dials is independent of who sends: both ends of a lane are alike once it is open.
 *
 * Buffers: a frame given to `Lane.send` belongs to the lane until the promise settles. A buffer
 * given by `FrameSink.reserve` belongs to the lane until `FrameSink.deliver` or the lane's end.
 * Errors are TransportError. Every wait ends when the lane's or the call's AbortSignal fires.
 */

/** Version of this contract; a plugin built for another one is refused. */
export const TRANSPORT_CONTRACT_VERSION = 1;

/** What a transport can do; the rest of the code branches on these, never on names. */
export interface TransportCapabilities {
  /** Frames flow both ways on one lane. */
  readonly duplex: boolean;
  /** Frames of one lane arrive in the order sent. */
  readonly ordered: boolean;
  /** Frames survive the loss of a connection inside the transport. */
  readonly durable: boolean;
  /** Largest frame in bytes. */
  readonly maxFrameBytes: number;
  /** Who can open a lane: one side listens, or both dial a broker. */
  readonly opening: 'listen-dial' | 'both-dial';
  /** How many lanes are worth having by default. */
  readonly defaultLanes: number;
}

/** The session's end of an incoming lane: where frames go. */
export interface FrameSink {
  /**
   * Called when a frame of `bytes` is about to arrive. Returns memory for exactly that many bytes
   * (or more; the lane fills the front), or a promise of it: while it is pending the lane does
   * not read, which is backpressure. `head` holds the frame's first bytes where the transport
   * has them already (at least min(bytes, 16)); it is valid during the call only. Throwing or
   * rejecting refuses the frame and ends the lane. Memory that comes after the lane's end, by a
   * late promise or because the sink itself ended the lane, is not touched and stays the sink's.
   */
  reserve(bytes: number, head: Uint8Array): Uint8Array | Promise<Uint8Array>;
  /** The frame is complete in the first `bytes` bytes of `buffer`. Must not throw. */
  deliver(buffer: Uint8Array, bytes: number): void;
  /**
   * Called exactly once, when the lane is over, never from inside a call of the sink's owner;
   * without an error when either side closed it gracefully. `unused` is a reserved buffer that
   * never became a frame.
   */
  ended(error: Error | undefined, unused: Uint8Array | undefined): void;
}

export interface LaneCounters {
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly framesSent: number;
  readonly framesReceived: number;
  /** Bytes accepted by send and not yet handed to the operating system. */
  readonly bytesQueued: number;
}

export type LaneStatus = 'open' | 'closing' | 'closed';

export interface Lane {
  /** For people: where the other end is. */
  readonly remote: string;
  readonly status: LaneStatus;
  readonly counters: LaneCounters;
  /** Starts reading. Called once, right after the lane was opened. */
  receive(sink: FrameSink): void;
  /**
   * Sends one frame, the concatenation of `parts`. Resolves when the parts may be reused and the
   * next frame should be given; rejects with a TransportError when the lane is over. A frame over
   * the limit, or one more than the bounded queue of a caller that does not await, is rejected too,
   * and then the lane goes on.
   */
  send(parts: readonly Uint8Array[]): Promise<void>;
  /**
   * Lets sent frames drain, also the peer's, then closes. Resolves when everything is free, also
   * after a failure (`ended` tells that). Idempotent.
   */
  close(): Promise<void>;
  /** Closes at once; pending sends reject with `reason`. Idempotent. */
  abort(reason?: Error): void;
}

export interface OpenOptions {
  /** Ends what was opened with it whenever it fires: dial and lane, or listener and its lanes. */
  readonly signal?: AbortSignal;
  /** Limit of one dial, in milliseconds. */
  readonly timeoutMs?: number;
  /** Frames above this are refused in both directions; at most capabilities.maxFrameBytes. */
  readonly maxFrameBytes: number;
  /**
   * Listening only: called with whoever was turned away before there was a lane (no certificate,
   * another protocol, too slow) and with why. Must not throw.
   */
  readonly onRefused?: ((remote: string, error: Error) => void) | undefined;
}

export interface Listener {
  /** The address peers dial, with the real port. */
  readonly address: string;
  /** Stops accepting; lanes already accepted live on. Idempotent. */
  close(): Promise<void>;
}

export interface Transport {
  readonly contractVersion: number;
  /** URL scheme without colon, such as "tcp". */
  readonly scheme: string;
  readonly capabilities: TransportCapabilities;
  /** Opens one lane to `address`, a URL of this scheme. */
  dial(address: URL, options: OpenOptions): Promise<Lane>;
  /** Listens at `address`; every accepted lane goes to `onLane`, which must call receive. */
  listen(address: URL, options: OpenOptions, onLane: (lane: Lane) => void): Promise<Listener>;
}

/** What a transport package exports as default: called once, before its scheme is used. */
export type TransportFactory = () => Transport | Promise<Transport>;
