/** Peers at local sockets. */
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';

/** A connected raw local socket. */
export async function openLocalStranger(address: URL): Promise<Socket> {
  const socket = connect({ path: decodeURIComponent(address.pathname) });
  await once(socket, 'connect');
  return socket;
}
