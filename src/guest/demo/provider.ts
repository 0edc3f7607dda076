/**
 * What: opens demo guests: at the source from the URL alone, at the destination for the layout
 * that the source sent. backend=auto tries KVM first.
 */
import { ConfigurationError } from '../../errors.js';
import type { NativeAddon, NativeDemoGuest, NativeMemory } from '../../native/addon.js';
import { nativeAddon } from '../../parts.js';
import type { Guest, GuestLayout, GuestProvider } from '../contract.js';
import { DemoGuest } from './guest.js';
import {
  checkDemoLayout,
  demoPageBytes,
  parseDemoUrl,
  type DemoBackend,
  type DemoParameters,
} from './options.js';

function createMemory(addon: NativeAddon, bytes: number, wanted: DemoParameters): NativeMemory {
  try {
    return addon.Memory.create({ name: 'pageferry-demo', bytes, hugePages: wanted.hugePages });
  } catch (cause) {
    const message = `there is no memory for a demo guest of ${bytes} bytes`;
    throw new ConfigurationError('ERR_PAGEFERRY_GUEST_MEMORY', message, { cause });
  }
}

function createNative(
  addon: NativeAddon,
  memory: NativeMemory,
  wanted: DemoParameters,
  backend: DemoBackend,
  blank: boolean,
): NativeDemoGuest {
  try {
    return new addon.DemoGuest({
      backend,
      memory,
      dirtyRate: wanted.dirtyRate,
      workingSetBytes: wanted.workingSet,
      fillBytes: wanted.fillBytes,
      content: wanted.content,
      seed: wanted.seed,
      blank,
    });
  } catch (cause) {
    const message = `the demo guest's backend ${backend} does not work here`;
    throw new ConfigurationError('ERR_PAGEFERRY_GUEST_BACKEND', message, { cause });
  }
}

/** The first backend that works; the last one's error when none does. */
function firstNative(
  addon: NativeAddon,
  memory: NativeMemory,
  wanted: DemoParameters,
): { native: NativeDemoGuest; backend: DemoBackend } {
  if (wanted.backend === 'auto') {
    try {
      const native = createNative(addon, memory, wanted, 'kvm', false);
      return { native, backend: 'kvm' };
    } catch (error) {
      if (!(error instanceof ConfigurationError)) throw error;
    }
  }
  const backend = wanted.backend === 'auto' ? 'in-process' : wanted.backend;
  return { native: createNative(addon, memory, wanted, backend, false), backend };
}

async function openSource(url: URL): Promise<Guest> {
  const wanted = parseDemoUrl(url);
  const addon = await nativeAddon();
  const memory = createMemory(addon, wanted.ram, wanted);
  try {
    const { native, backend } = firstNative(addon, memory, wanted);
    await native.start();
    const scratch = new addon.PageSet(wanted.ram / demoPageBytes);
    const description = { version: 1, backend } as const;
    return new DemoGuest({ native, memory, scratch, description, blank: false });
  } catch (error) {
    memory.close();
    throw error;
  }
}

async function openDestination(url: URL, layout: GuestLayout): Promise<Guest> {
  const wanted = parseDemoUrl(url);
  const { ram, backend } = checkDemoLayout(layout, wanted.backend);
  const addon = await nativeAddon();
  const memory = createMemory(addon, ram, wanted);
  try {
    const native = createNative(addon, memory, wanted, backend, true);
    const scratch = new addon.PageSet(ram / demoPageBytes);
    const description = { version: 1, backend } as const;
    return new DemoGuest({ native, memory, scratch, description, blank: true });
  } catch (error) {
    memory.close();
    throw error;
  }
}

export const demoProvider: GuestProvider = { scheme: 'demo', openSource, openDestination };
