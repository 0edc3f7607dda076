/** What: opens a lane over TLS: connects, authenticates both sides, waits to be let in. */
import { isIP } from 'node:net';
import type { TcpNetConnectOpts } from 'node:net';
import { connect } from 'node:tls';
import type { ConnectionOptions, TLSSocket } from 'node:tls';

import {
  FrameReader,
  StreamLane,
  abortError,
  credentialsError,
  formatHostPort,
  keepAliveDelayMs,
  laneError,
  opened,
} from '../../src/transport/base/index.js';
import type { HostPort, TlsFiles } from '../../src/transport/base/index.js';
import type { Lane, OpenOptions } from '../../src/transport/contract.js';
import {
  handshakeError,
  laneProtocol,
  nameProblem,
  tlsReadAheadBytes,
  unauthenticated,
  welcomeByte,
} from './context.js';
import type { TlsContext } from './context.js';

/** Takes the listener's first byte; what comes after it is the reader's. */
class Welcome {
  readonly #reader: FrameReader;
  readonly #byte = Buffer.alloc(1);
  #isPending = true;
  /** Called with the byte. */
  onByte: (byte: number) => void = () => undefined;

  /** For the socket's `onread`. */
  readonly onread = {
    buffer: (): Uint8Array => (this.#isPending ? this.#byte : this.#reader.target()),
    callback: (bytes: number): boolean => {
      if (!this.#isPending) return this.#reader.filled(bytes);
      this.#isPending = false;
      this.onByte(this.#byte[0] ?? 0);
      return this.#reader.wantsBytes;
    },
  };

  constructor(reader: FrameReader) {
    this.#reader = reader;
  }
}

/** How this side shows who it is and checks who the other is. */
function identityOptions(context: TlsContext, files: TlsFiles, at: HostPort): ConnectionOptions {
  const { keys } = context;
  if (files.kind === 'certificate' || keys === undefined) {
    const name = (files.kind === 'certificate' ? files.name : undefined) ?? at.host;
    return {
      ...(isIP(name) === 0 ? { servername: name } : {}),
      checkServerIdentity: (_host, certificate) => nameProblem(name, certificate),
    };
  }
  const [first = ''] = keys.keys();
  const identity = files.identity ?? first;
  const psk = keys.get(identity);
  if (psk === undefined) throw credentialsError(files.psk, `it has no identity "${identity}"`);
  return {
    pskCallback: () => ({ psk, identity }),
    // Only asked about a certificate, which a listener that has the key does not show.
    checkServerIdentity: () => new Error('the listener shows a certificate instead of the key'),
  };
}

/** Undefined when all is well. */
function problemOf(socket: TLSSocket, files: TlsFiles): string | undefined {
  if (socket.alpnProtocol !== laneProtocol) return 'it does not serve lanes';
  if (!socket.authorized) return 'it is not authenticated';
  // In TLS 1.3 a key shared beforehand counts as a session that is resumed; there is no other.
  if (files.kind === 'psk' && !socket.isSessionReused()) return 'it did not use the shared key';
  return undefined;
}

/** Rejects with TransportError (phase dial), ConfigurationError, or AbortError. */
export async function dialTls(
  at: HostPort,
  files: TlsFiles,
  context: TlsContext,
  options: OpenOptions,
): Promise<Lane> {
  const { maxFrameBytes, signal } = options;
  if (signal?.aborted) throw abortError(signal);
  const remote = formatHostPort('tls', at);
  const reader = new FrameReader(maxFrameBytes, tlsReadAheadBytes);
  const welcome = new Welcome(reader);
  // node:tls takes what node:net takes besides; its types do not say so.
  const connecting: ConnectionOptions & TcpNetConnectOpts = {
    ...identityOptions(context, files, at),
    ...at,
    secureContext: context.secure,
    allowHalfOpen: true,
    ALPNProtocols: [laneProtocol],
    rejectUnauthorized: true,
    onread: welcome.onread,
  };
  const socket = connect(connecting);
  socket.setNoDelay(true);
  socket.setKeepAlive(true, keepAliveDelayMs);
  let isSecure = false;
  socket.once('secureConnect', () => {
    isSecure = true;
    const problem = problemOf(socket, files);
    if (problem === undefined) return;
    socket.destroy(unauthenticated('dial', `cannot dial ${remote}: ${problem}`));
  });
  welcome.onByte = (byte) => {
    if (byte === welcomeByte) socket.emit('welcome');
    else socket.destroy(laneError('GARBAGE', `${remote} serves no lanes`, { phase: 'dial' }));
  };
  const errorOf = (error: Error | undefined): Error => {
    const isReset = (error as NodeJS.ErrnoException | undefined)?.code === 'ECONNRESET';
    // A handshake that is over on this side only: the listener does not accept who this is.
    if (isSecure && (error === undefined || isReset)) {
      const message = `cannot dial ${remote}: it does not accept this side's certificate or key`;
      return unauthenticated('dial', message, error);
    }
    const gone = new Error('it ended the connection in the handshake');
    return handshakeError(
      error ?? Object.assign(gone, { code: 'EPIPE' }),
      'dial',
      `dial ${remote}`,
    );
  };
  await opened(socket, { remote, event: 'welcome', errorOf }, options);
  return new StreamLane({ remote, maxFrameBytes, signal, socket, reader, readsToEnd: true });
}
