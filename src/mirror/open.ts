/** What: checks options, picks the engine, starts the mirror and greets the helper. */
import { ConfigurationError } from '../errors.js';
import {
  PAGE_BYTES,
  RAM_LIMIT_BYTES_MAX,
  RING_ENTRIES,
  STALL_TIMEOUT_MS_DEFAULT,
  VCPUS_MAX,
  WINDOW_BYTES_LIMIT,
} from '../limits.js';
import {
  OFFSET_pf_hello_abi_version,
  OFFSET_pf_hello_aes_variant,
  OFFSET_pf_hello_ram_limit,
  OFFSET_pf_hello_session,
  OFFSET_pf_hello_vcpus,
  PF_ABI_VERSION,
  PF_AES_VARIANT_NAMES,
  PF_COMMAND_HELLO,
  PF_HELLO_BYTES,
} from '../native/abi.generated.js';
import type { NativeAddon, NativeMirrorEvent, NativeMirror } from '../native/addon.js';
import { loadHelperImage } from '../native/loader.js';
import { Commander } from './commander.js';
import type { EngineName, HelperInfo, MirrorOptions } from './contract.js';
import { onAddon } from './native-errors.js';
import { type WindowLayout, windowLayout } from './layout.js';
import { WindowSlots } from './slots.js';

const sessionIdBytes = 16;

/** A started mirror and what belongs to it. */
export interface StartedMirror {
  readonly native: NativeMirror;
  readonly commander: Commander;
  readonly slots: WindowSlots;
  readonly info: HelperInfo;
}

export interface Hello {
  readonly abiVersion: number;
  readonly vcpus: number;
  readonly aes: string;
  readonly ramLimitBytes: number;
  readonly session: Uint8Array;
}

export async function hello(commander: Commander): Promise<Hello> {
  const { output } = await commander.message({ command: PF_COMMAND_HELLO, hasOutput: true });
  if (output.byteLength !== PF_HELLO_BYTES) {
    throw commander.broken(`a greeting of ${output.byteLength} bytes`);
  }
  const view = new DataView(output.buffer);
  const aes = PF_AES_VARIANT_NAMES[view.getUint32(OFFSET_pf_hello_aes_variant, true)];
  return {
    abiVersion: view.getUint32(OFFSET_pf_hello_abi_version, true),
    vcpus: view.getUint32(OFFSET_pf_hello_vcpus, true),
    aes: (aes ?? 'PF_AES_UNKNOWN').slice('PF_AES_'.length).toLowerCase(),
    ramLimitBytes: Number(view.getBigUint64(OFFSET_pf_hello_ram_limit, true)),
    session: output.slice(OFFSET_pf_hello_session, OFFSET_pf_hello_session + sessionIdBytes),
  };
}

function checkRange(name: string, value: number, least: number, most: number): void {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return;
  const message = `${name} is ${value}; it has to be from ${least} to ${most}`;
  throw new ConfigurationError('ERR_PAGEFERRY_MIRROR_OPTIONS', message);
}

function checkOptions(options: MirrorOptions): void {
  checkRange('vcpus', options.vcpus, 1, VCPUS_MAX);
  checkRange('windowBytes', options.windowBytes, 1, WINDOW_BYTES_LIMIT);
  checkRange('ramLimitBytes', options.ramLimitBytes, PAGE_BYTES, RAM_LIMIT_BYTES_MAX);
}

function engineFor(addon: NativeAddon, wanted: MirrorOptions['engine']): EngineName {
  if (wanted === 'in-process') return wanted;
  const { kvm } = addon.probe();
  if (kvm.usable) return 'kvm';
  if (wanted === 'auto') return 'in-process';
  const message = 'KVM cannot be used on this machine; `pageferry doctor` says why';
  throw new ConfigurationError('ERR_PAGEFERRY_KVM_UNAVAILABLE', message);
}

function create(
  addon: NativeAddon,
  options: MirrorOptions,
  layout: WindowLayout,
  onEvent: (vcpu: number, event: NativeMirrorEvent | null) => void,
): NativeMirror {
  const engine = engineFor(addon, options.engine);
  const image = engine === 'kvm' ? loadHelperImage(options.testImage ?? false) : undefined;
  const native = {
    engine,
    vcpus: options.vcpus,
    ringEntries: RING_ENTRIES,
    windowBytes: layout.totalBytes,
    ramLimitBytes: options.ramLimitBytes,
    stallTimeoutMs: options.stallTimeoutMs ?? STALL_TIMEOUT_MS_DEFAULT,
    ...(image === undefined ? {} : { image }),
  };
  return onAddon('ERR_PAGEFERRY_MIRROR_OPTIONS', () => new addon.Mirror(native, onEvent));
}

export async function startMirror(
  addon: NativeAddon,
  options: MirrorOptions,
): Promise<StartedMirror> {
  checkOptions(options);
  const layout = windowLayout(options.vcpus, options.windowBytes);
  const early: [number, NativeMirrorEvent | null][] = [];
  let report = (vcpu: number, event: NativeMirrorEvent | null): void => {
    early.push([vcpu, event]);
  };
  const native = create(addon, options, layout, (vcpu, event) => {
    report(vcpu, event);
  });
  try {
    const slots = new WindowSlots(native.window, layout.slots, layout.slotCount);
    const commander = new Commander(native, layout, options.vcpus, (error) => {
      slots.end(error);
    });
    report = (vcpu, event) => {
      commander.onEvent(vcpu, event);
    };
    for (const [vcpu, event] of early) report(vcpu, event);
    const greeting = await hello(commander);
    checkGreeting(greeting, options);
    const { vcpus, aes, ramLimitBytes } = greeting;
    return { native, commander, slots, info: { engine: native.engine, vcpus, aes, ramLimitBytes } };
  } catch (error) {
    await native.close();
    throw error;
  }
}

function checkGreeting(greeting: Hello, options: MirrorOptions): void {
  if (greeting.abiVersion === PF_ABI_VERSION && greeting.vcpus === options.vcpus) return;
  const helper = `the helper speaks ABI ${greeting.abiVersion} on ${greeting.vcpus} vCPUs`;
  const message = `${helper}, this library ${PF_ABI_VERSION} on ${options.vcpus}; `;
  throw new ConfigurationError('ERR_PAGEFERRY_ABI', `${message}run \`npm run build\``);
}
