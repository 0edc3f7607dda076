/**
 * What: puts the library together: sessions over the real mirror, guests and transports from their
 * registries. The only file that knows where each part lies; everything else is given them.
 * Nothing is loaded before it is used: a program that only asks for help must not load the addon.
 */
import type { Guest, GuestLayout } from './guest/contract.js';
import type { NativeAddon } from './native/addon.js';
import type { SessionDependencies } from './session/dependencies.js';
import type { DestinationOptions, MigrationReport, SourceOptions } from './session/types.js';
import type { Transport } from './transport/contract.js';

export { FRAME_BYTES_MAX } from './wire/limits.js';

/** The native addon; rejects where it is not built or does not load. */
export async function nativeAddon(): Promise<NativeAddon> {
  const { loadAddon } = await import('./native/loader.js');
  return loadAddon();
}

async function sessionDependencies(): Promise<SessionDependencies> {
  const [{ openMirror }, addon, { systemClock }] = await Promise.all([
    import('./mirror/mirror.js'),
    nativeAddon(),
    import('./session/clock.js'),
  ]);
  return {
    openMirror,
    createPageSet: (pages) => new addon.PageSet(pages),
    clock: systemClock,
  };
}

/** Sends a guest. Resolves with the report, also when the migration failed; see its outcome. */
export async function runSource(options: SourceOptions): Promise<MigrationReport> {
  const { runSourceWith } = await import('./session/source.js');
  return runSourceWith(options, await sessionDependencies());
}

/** Receives a guest. Resolves with the report, also when the migration failed; see its outcome. */
export async function runDestination(options: DestinationOptions): Promise<MigrationReport> {
  const { runDestinationWith } = await import('./session/destination.js');
  return runDestinationWith(options, await sessionDependencies());
}

/** Opens (the demo's: starts) the guest of a URL such as "demo:?ram=512M", to be sent. */
export async function openSourceGuest(url: URL): Promise<Guest> {
  const { openSource } = await import('./guest/registry.js');
  return openSource(url);
}

/** Opens a paused guest with blank RAM for a layout that came from an authenticated peer. */
export async function openDestinationGuest(url: URL, layout: GuestLayout): Promise<Guest> {
  const { openDestination } = await import('./guest/registry.js');
  return openDestination(url, layout);
}

/** Adds the transport of a package or file to those there are. */
export async function loadTransportPlugin(packageOrFile: string): Promise<Transport> {
  const registry = await import('./transport/registry.js');
  return registry.loadTransportPlugin(packageOrFile);
}

/** The transport of an address such as "tcp://127.0.0.1:7700". */
export async function openTransport(address: URL): Promise<Transport> {
  const { transportFor } = await import('./transport/registry.js');
  return (await transportFor(address.href)).transport;
}
