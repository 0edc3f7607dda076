/**
 * What: a mirror as the addon gives it, with the commander on top, for what the Mirror contract
 * does not offer: CRYPTO_CHECK, a chosen AES variant, TEST_FAULT, rings written by hand.
 */
import { PF_HELLO_BYTES, PF_COMMAND_HELLO } from '../../../src/native/abi.generated.js';
import {
  OFFSET_pf_hello_aes_variant,
  OFFSET_pf_hello_state,
} from '../../../src/native/abi.generated.js';
import { RING_ENTRIES } from '../../../src/limits.js';
import { Commander } from '../../../src/mirror/commander.js';
import type { EngineName } from '../../../src/mirror/contract.js';
import { windowLayout, type WindowLayout } from '../../../src/mirror/layout.js';
import type { NativeMirror, NativeMirrorEvent } from '../../../src/native/addon.js';
import { loadAddon, loadHelperImage } from '../../../src/native/loader.js';

const MEBIBYTE = 1024 * 1024;

export interface BareOptions {
  readonly engine: EngineName;
  readonly vcpus?: number;
  readonly aesVariant?: number;
  readonly testImage?: boolean;
  /** Instead of the built one; engine kvm only. */
  readonly image?: Buffer;
  readonly stallTimeoutMs?: number;
  readonly ramLimitBytes?: number;
  /** Instead of what the layout needs; the rings are there in any case. */
  readonly windowBytes?: number;
}

export type OnEvent = (vcpu: number, event: NativeMirrorEvent | null) => void;

/** The addon's mirror alone, and where a Commander would have things in its window. */
export function openNative(
  options: BareOptions,
  onEvent: OnEvent,
): { native: NativeMirror; layout: WindowLayout } {
  const { engine, vcpus = 1, aesVariant, stallTimeoutMs = 10_000 } = options;
  const layout = windowLayout(vcpus, 2 * MEBIBYTE);
  const built = options.image ?? loadHelperImage(options.testImage ?? false);
  const image = engine === 'kvm' ? built : undefined;
  const { Mirror } = loadAddon();
  const native = new Mirror(
    {
      engine,
      vcpus,
      ringEntries: RING_ENTRIES,
      windowBytes: options.windowBytes ?? layout.totalBytes,
      ramLimitBytes: options.ramLimitBytes ?? MEBIBYTE,
      stallTimeoutMs,
      ...(image === undefined ? {} : { image }),
      ...(aesVariant === undefined ? {} : { aesVariant }),
    },
    onEvent,
  );
  return { native, layout };
}

export class BareMirror {
  readonly native: NativeMirror;
  readonly layout: WindowLayout;
  readonly commander: Commander;

  constructor(options: BareOptions) {
    const early: Parameters<OnEvent>[] = [];
    let report: OnEvent = (...event) => early.push(event);
    const { native, layout } = openNative(options, (...event) => {
      report(...event);
    });
    this.native = native;
    this.layout = layout;
    this.commander = new Commander(native, layout, options.vcpus ?? 1, () => undefined);
    report = (...event) => {
      this.commander.onEvent(...event);
    };
    for (const event of early) report(...event);
  }

  async hello(): Promise<{ state: number; aesVariant: number }> {
    const { output } = await this.commander.message({ command: PF_COMMAND_HELLO, hasOutput: true });
    const view = new DataView(output.buffer, 0, PF_HELLO_BYTES);
    return {
      state: view.getUint32(OFFSET_pf_hello_state, true),
      aesVariant: view.getUint32(OFFSET_pf_hello_aes_variant, true),
    };
  }

  async close(): Promise<void> {
    this.commander.end(new Error('the test is over'));
    await this.native.close();
  }
}
