/**
 * What: the large flow-control window on the server's side, and its hold on the HTTP/2 stream.
 *
 * @grpc/grpc-js reads `grpc-node.flow_control_window` in the client alone, and a server has no
 * public way to enlarge the window of what it receives. But who dials is independent of who sends.
 * So this one file looks inside: the call an interceptor gets holds its HTTP/2 stream in a field.
 * HTTP/2 lets a receiver change the window of a stream that is open (RFC 9113, 6.9.2), and the
 * client sends nothing before the server's initial metadata, which leave after the new settings.
 * Should another version have no such field, lanes go on with HTTP/2's default window, slowly over
 * long distances; a test says so, loudly.
 */
import type { ServerHttp2Stream } from 'node:http2';

import { ServerInterceptingCall } from '@grpc/grpc-js';
import type { Metadata, ServerInterceptor } from '@grpc/grpc-js';

import { WINDOW_BYTES } from './service.js';

/** Chunks of this size reach JavaScript at most; HTTP/2's default of 16 KiB costs more calls. */
const frameBytes = 256 * 1024;

/** The HTTP/2 stream below a call; undefined where grpc-js is made otherwise. */
function streamBelow(call: unknown): ServerHttp2Stream | undefined {
  const { stream } = call as { stream?: Partial<ServerHttp2Stream> };
  const isStream = typeof stream?.close === 'function' && stream.session !== undefined;
  return isStream ? (stream as ServerHttp2Stream) : undefined;
}

function widen(stream: ServerHttp2Stream): void {
  const { session } = stream;
  if (session === undefined) return;
  session.settings({ initialWindowSize: WINDOW_BYTES, maxFrameSize: frameBytes });
  session.setLocalWindowSize(WINDOW_BYTES);
}

/** The HTTP/2 streams of a server's calls, by the calls' metadata. */
export class ServerStreams {
  readonly #streams = new WeakMap<Metadata, ServerHttp2Stream>();

  /** Widens the window of every call and remembers its stream. */
  readonly interceptor: ServerInterceptor = (_method, call) => {
    const stream = streamBelow(call);
    if (stream === undefined) return new ServerInterceptingCall(call);
    widen(stream);
    return new ServerInterceptingCall(call, {
      start: (next) => {
        next({
          onReceiveMetadata: (metadata, goOn) => {
            this.#streams.set(metadata, stream);
            goOn(metadata);
          },
        });
      },
    });
  };

  /** The stream of the call whose metadata these are. */
  of(metadata: Metadata): ServerHttp2Stream | undefined {
    return this.#streams.get(metadata);
  }
}
