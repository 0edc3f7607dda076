/** Sessions on the real mirror and the demo guest, loaded by their places in this build. */
import type { Guest, GuestLayout } from '../../../src/guest/contract.js';
import type { EngineName, Mirror, MirrorOptions } from '../../../src/mirror/contract.js';
import type { NativeAddon } from '../../../src/native/addon.js';
import { systemClock } from '../../../src/session/clock.js';
import type { World } from './pair.js';

interface Parts {
  readonly openMirror: (options: MirrorOptions) => Promise<Mirror>;
  readonly addon: NativeAddon;
  readonly openSource: (url: URL) => Promise<Guest>;
  readonly openDestination: (url: URL, layout: GuestLayout) => Promise<Guest>;
}

async function load(place: string): Promise<Record<string, unknown>> {
  const url = new URL(`../../../src/${place}`, import.meta.url);
  return (await import(url.href)) as Record<string, unknown>;
}

/** The real parts; rejects where this build lacks one. */
export async function loadParts(): Promise<Parts> {
  const mirror = await load('mirror/mirror.js');
  const loader = await load('native/loader.js');
  const guests = await load('guest/registry.js');
  const loadAddon = loader['loadAddon'] as () => NativeAddon;
  return { ...(mirror as never as Parts), ...(guests as never as Parts), addon: loadAddon() };
}

/** A world of demo guests with `query` as their options, such as "ram=64M". */
export function realWorld(parts: Parts, engine: EngineName, query: string): World {
  const backend = `backend=${engine}`;
  return {
    dependencies: {
      openMirror: parts.openMirror,
      createPageSet: (pages) => new parts.addon.PageSet(pages),
      clock: systemClock,
    },
    openSource: () => parts.openSource(new URL(`demo:?${query}&${backend}`)),
    openDestination: (layout) => parts.openDestination(new URL(`demo:?${backend}`), layout),
  };
}
