/** What: opens a lane as the client of a call, on a channel (and connection) of its own. */
import { isIP } from 'node:net';
import { checkServerIdentity } from 'node:tls';

import { Client, credentials as channelCredentials } from '@grpc/grpc-js';
import type {
  ChannelCredentials,
  ChannelOptions,
  ClientDuplexStream,
  ServiceError,
} from '@grpc/grpc-js';
import { status } from '@grpc/grpc-js';

import {
  abortError,
  defaultDialLimitMs,
  formatHostPort,
  laneError,
  systemError,
} from '../../src/transport/base/index.js';
import type { Lane, OpenOptions } from '../../src/transport/contract.js';
import type { GrpcAddress } from './address.js';
import { CallLane, CallStream, endedBy } from './call-stream.js';
import type { CallEnd } from './call-stream.js';
import { clientOptions, laneService } from './service.js';

type ClientCall = ClientDuplexStream<Buffer, Buffer>;

class ClientEnd implements CallEnd {
  #isOver = false;

  constructor(
    private readonly client: Client,
    private readonly call: ClientCall,
  ) {
    call.once('status', () => {
      this.#isOver = true;
    });
  }

  halfClose(): void {
    this.call.end();
  }

  /** The server ends the call when it has read everything. */
  async complete(): Promise<void> {
    if (!this.#isOver) {
      this.call.resume();
      await endedBy(this.call, 'status', () => {
        this.call.cancel();
      });
    }
    this.client.close();
  }

  async cut(): Promise<void> {
    this.call.cancel();
    this.client.close();
    await Promise.resolve();
  }
}

async function credentialsOf(address: GrpcAddress): Promise<ChannelCredentials> {
  if (!address.isSecure) return channelCredentials.createInsecure();
  const { ca, identity } = await address.readTls();
  const expected = address.serverName ?? address.host;
  return channelCredentials.createSsl(ca ?? null, identity?.key ?? null, identity?.cert ?? null, {
    checkServerIdentity: (_asked, certificate) => checkServerIdentity(expected, certificate),
  });
}

/** Asked for in TLS in place of an IP address, which RFC 6066 forbids there and Node warns of. */
const namelessHost = 'address.pageferry.invalid';

/** What the server is asked for by name; whether its certificate fits is checked above. */
function nameOptions({ host, isSecure, serverName }: GrpcAddress): ChannelOptions {
  if (serverName !== undefined) {
    return {
      'grpc.ssl_target_name_override': serverName,
      'grpc.default_authority': serverName,
    };
  }
  const isNameless = isSecure && isIP(host) !== 0;
  return isNameless ? { 'grpc.ssl_target_name_override': namelessHost } : {};
}

/** Rejects with TransportError (phase dial), or AbortError when the signal fired. */
export async function dialGrpc(address: GrpcAddress, options: OpenOptions): Promise<Lane> {
  const { signal, maxFrameBytes } = options;
  if (signal?.aborted) throw abortError(signal);
  const remote = formatHostPort(address.scheme, address);
  const credentials = await credentialsOf(address);
  if (signal?.aborted) throw abortError(signal);
  const client = new Client(address.target, credentials, {
    ...clientOptions,
    ...nameOptions(address),
  });
  const { path, requestSerialize, responseDeserialize } = laneService.Carry;
  const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
  try {
    await opened(call, remote, options);
  } catch (error) {
    // A late error of a call nobody waits for any more says nothing new.
    call.on('error', () => undefined);
    call.cancel();
    client.close();
    throw error;
  }
  const stream = new CallStream(call, new ClientEnd(client, call));
  return new CallLane(stream, { remote, maxFrameBytes, signal });
}

/** Waits until the server has taken the lane. */
function opened(call: ClientCall, remote: string, options: OpenOptions): Promise<void> {
  const { signal, timeoutMs: limitMs = defaultDialLimitMs } = options;
  return new Promise((resolve, reject) => {
    const settle = (error?: Error): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      call.off('metadata', onMetadata);
      call.off('error', onError);
      if (error === undefined) resolve();
      else reject(error);
    };
    const onMetadata = (): void => {
      settle();
    };
    const onError = (error: Error): void => {
      settle(dialError(error as ServiceError, remote));
    };
    const onAbort = (): void => {
      if (signal !== undefined) settle(abortError(signal));
    };
    const timer = setTimeout(() => {
      const message = `cannot dial ${remote}: no answer within ${limitMs} ms`;
      settle(laneError('TIMEOUT', message, { phase: 'dial', retryable: true }));
    }, limitMs);
    call.once('metadata', onMetadata);
    call.once('error', onError);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** grpc-js tells the system's error in words only: its name stands in the details. */
function dialError(error: ServiceError, remote: string): Error {
  const doing = `dial ${remote}`;
  const { details } = error;
  const name = /\b(E[A-Z]{3,}(?:_[A-Z]+)?)\b/.exec(details)?.[1];
  if (name !== undefined) return systemError(Object.assign(error, { code: name }), 'dial', doing);
  if (details.startsWith('Name resolution failed')) {
    const message = `cannot ${doing}: the host name does not resolve`;
    return laneError('UNRESOLVED', message, { phase: 'dial', cause: error });
  }
  if (error.code === status.UNIMPLEMENTED) {
    const message = `cannot ${doing}: a gRPC server without this service answers there`;
    return laneError('FAILED', message, { phase: 'dial', cause: error });
  }
  const retryable = error.code === status.UNAVAILABLE;
  const message = `cannot ${doing}: ${details}`;
  return laneError('FAILED', message, { phase: 'dial', retryable, cause: error });
}
