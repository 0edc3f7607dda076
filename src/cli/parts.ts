/**
 * What: the parts of the library a migrating command runs on, as one object: the commands are
 * tested with stand-ins, and nothing is loaded before it is needed.
 */
import type { Guest, GuestLayout } from '../guest/contract.js';
import type { DestinationOptions, MigrationReport, SourceOptions } from '../session/types.js';
import type { Transport } from '../transport/contract.js';

export interface Parts {
  runSource(options: SourceOptions): Promise<MigrationReport>;
  runDestination(options: DestinationOptions): Promise<MigrationReport>;
  openSource(url: URL): Promise<Guest>;
  openDestination(url: URL, layout: GuestLayout): Promise<Guest>;
  /** Adds the transport of a package or file. */
  loadPlugin(packageOrFile: string): Promise<unknown>;
  /** The transport of a URL's scheme. */
  transport(url: URL): Promise<Transport>;
  /** Frames above this are refused on every lane. */
  readonly maxFrameBytes: number;
}

export async function loadParts(): Promise<Parts> {
  const parts = await import('../parts.js');
  return {
    runSource: parts.runSource,
    runDestination: parts.runDestination,
    openSource: parts.openSourceGuest,
    openDestination: parts.openDestinationGuest,
    loadPlugin: parts.loadTransportPlugin,
    transport: parts.openTransport,
    maxFrameBytes: parts.FRAME_BYTES_MAX,
  };
}
