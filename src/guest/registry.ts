/**
 * What: the built-in guest providers by their URL schemes; loads a provider when it is asked for.
 */
import { ConfigurationError } from '../errors.js';
import type { Guest, GuestLayout, GuestProvider } from './contract.js';

const loaders: Readonly<Record<string, () => Promise<GuestProvider>>> = {
  demo: async () => (await import('./demo/provider.js')).demoProvider,
};

async function providerFor(url: URL): Promise<GuestProvider> {
  const scheme = url.protocol.slice(0, -1);
  const load = Object.hasOwn(loaders, scheme) ? loaders[scheme] : undefined;
  if (load !== undefined) return load();
  const known = Object.keys(loaders).join(', ');
  throw new ConfigurationError(
    'ERR_PAGEFERRY_GUEST_UNKNOWN',
    `there is no guest of kind "${scheme}"; known: ${known}`,
  );
}

/** Opens (the demo's: starts) the guest that is to be sent. */
export async function openSource(url: URL): Promise<Guest> {
  return (await providerFor(url)).openSource(url);
}

/** Opens a paused guest with blank RAM for a layout that came from an authenticated peer. */
export async function openDestination(url: URL, layout: GuestLayout): Promise<Guest> {
  return (await providerFor(url)).openDestination(url, layout);
}
