/**
 * What: lanes over TLS 1.3, both sides authenticated:
 *
 *     tls://HOST:PORT?cert=FILE&key=FILE&ca=FILE[&name=NAME]
 *     tls://HOST:PORT?psk=FILE[&identity=NAME]
 *
 * Inside, frames lie in the stream as over TCP, after one byte of the accepting side that says
 * that it is content with who dialled. The session authenticates and seals all the same; TLS keeps
 * strangers away from it and hides who talks about what.
 */
import { TRANSPORT_CONTRACT_VERSION } from '../../src/transport/contract.js';
import type { Transport } from '../../src/transport/contract.js';
import {
  TlsCredentials,
  abortError,
  checkOpenOptions,
  parseHostPort,
  parseTlsFiles,
  withoutParameters,
} from '../../src/transport/base/index.js';
import { buildContext } from './context.js';
import { dialTls } from './dial.js';
import { listenTls } from './listen.js';

const capabilities = {
  duplex: true,
  ordered: true,
  durable: false,
  /** As over TCP: far above any record. */
  maxFrameBytes: 64 * 1024 * 1024,
  opening: 'listen-dial',
  /** All encryption is done by one thread on each side; a second lane keeps it busy. */
  defaultLanes: 2,
} as const;

const transport: Transport = {
  contractVersion: TRANSPORT_CONTRACT_VERSION,
  scheme: 'tls',
  capabilities,

  async dial(address, options) {
    checkOpenOptions(options, capabilities);
    const at = parseHostPort(withoutParameters(address), 'dial');
    const files = parseTlsFiles(address);
    if (options.signal?.aborted) throw abortError(options.signal);
    // Read for every lane: a dial is rare, and the files may have changed.
    const context = await new TlsCredentials(files, buildContext).current();
    return dialTls(at, files, context, options);
  },

  async listen(address, options, onLane) {
    checkOpenOptions(options, capabilities);
    const at = parseHostPort(withoutParameters(address), 'listen');
    const credentials = new TlsCredentials(parseTlsFiles(address), buildContext);
    return listenTls(at, credentials, options, onLane);
  },
};

export default function tls(): Transport {
  return transport;
}
