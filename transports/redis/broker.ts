/**
 * What: the way to the server that holds a key: the broker itself, the master its Sentinels name,
 * or in a Cluster the node that serves the key's slot.
 */
import { laneError } from '../../src/transport/base/index.js';
import type { BrokerAddress } from './address.js';
import { BrokerConnection } from './connection.js';
import type { ConnectLimits, Endpoint } from './connection.js';
import { brokerError } from './errors.js';

/** Rejects with TransportError (phase dial), ConfigurationError or AbortError. */
export async function reachKey(
  address: BrokerAddress,
  key: string,
  limits: ConnectLimits,
): Promise<BrokerConnection> {
  const connection = await reachAny(address, limits);
  if (!connection.facts.isCluster) return connection;
  try {
    const owner = await ownerOf(connection, address, key);
    return await BrokerConnection.open(address, limits, owner);
  } catch (error) {
    throw brokerError(error, 'dial', `reach ${address.shown}`);
  } finally {
    connection.close();
  }
}

/** The first of the servers that answers. */
async function reachAny(address: BrokerAddress, limits: ConnectLimits): Promise<BrokerConnection> {
  const { place, sentinelMaster } = address;
  if ('path' in place || sentinelMaster !== undefined) {
    return BrokerConnection.open(address, limits);
  }
  const servers = [...place.servers];
  for (;;) {
    const server = servers.shift();
    try {
      return await BrokerConnection.open(address, limits, server);
    } catch (error) {
      if (servers.length === 0 || limits.signal?.aborted === true) throw error;
    }
  }
}

/** The node that serves the slot of `key`. */
async function ownerOf(
  connection: BrokerConnection,
  address: BrokerAddress,
  key: string,
): Promise<Endpoint> {
  const slot = await connection.call('CLUSTER', 'KEYSLOT', key);
  const ranges = await connection.call('CLUSTER', 'SLOTS');
  for (const range of Array.isArray(ranges) ? (ranges as unknown[]) : []) {
    const [first, last, node] = range as [unknown, unknown, unknown];
    if (typeof slot !== 'number' || Number(first) > slot || Number(last) < slot) continue;
    const [host, port] = node as [unknown, unknown];
    const seed = 'servers' in address.place ? address.place.servers[0]?.host : undefined;
    // A node that does not know its own address means the one it was asked at.
    const at = Buffer.isBuffer(host) && host.byteLength > 0 ? host.toString('latin1') : seed;
    if (at !== undefined) return { host: at, port: Number(port) };
  }
  const message = `cannot reach ${address.shown}: no node of the cluster serves the lane’s slot`;
  throw laneError('UNREACHABLE', message, { phase: 'dial', retryable: true });
}
