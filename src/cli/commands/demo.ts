/** What: `pageferry demo`: the options. */
import { Command, Option } from 'commander';

import { RAM_LIMIT_BYTES_MAX } from '../../limits.js';
import { parseRate } from '../../units.js';
import {
  bytesParser,
  commonOptions,
  lanesOption,
  pluginOption,
  mirrorOptions,
  parser,
  reconnectOption,
  sourceOptions,
  timeoutOption,
  type CommonOptions,
  type MirrorSettings,
  type PluginSettings,
  type SourceSettings,
} from '../options.js';
import type { Setup } from '../program.js';

const MiB = 1024 * 1024;
const ramBytesMin = 16 * MiB;

export interface DemoOptions extends CommonOptions, MirrorSettings, PluginSettings, SourceSettings {
  readonly ram: number;
  readonly dirtyRate: number;
  /** A scheme, or a whole address. */
  readonly transport: string;
  readonly lanes?: number;
  readonly timeout: number;
  readonly reconnectTimeout: number;
}

const help = `
Examples:
  $ pageferry demo
  $ pageferry demo --ram 4G --dirty-rate 20000 --codec none
  $ pageferry demo --engine in-process --json          on a machine without KVM, for scripts

Starts a destination and a source as two processes of their own, migrates a small guest that works
all the while from one to the other, lets both sides digest the memory, and lets the guest check
every page it wrote. Nothing stays behind.`;

export function demoCommand(setup: Setup): Command {
  const command = new Command('demo').summary('migrate a demo guest on this machine, verified');
  command.description(
    'Migrates a demo guest between two processes of this machine, and verifies it.',
  );
  const options = [
    new Option('--ram <size>', 'memory of the guest')
      .argParser(bytesParser(ramBytesMin, RAM_LIMIT_BYTES_MAX))
      .default(512 * MiB, '512M'),
    new Option('--dirty-rate <pages>', 'pages the guest writes per second')
      .argParser(parser((text) => parseRate(text, 0, 10_000_000)))
      .default(2000),
    new Option('--transport <scheme>', 'scheme or address the lanes go over').default('tcp'),
    ...mirrorOptions(),
    lanesOption(),
    pluginOption(),
    ...sourceOptions(),
    timeoutOption(),
    reconnectOption(),
    ...commonOptions(),
  ];
  for (const option of options) command.addOption(option);
  return command.addHelpText('after', help).action(async (given: DemoOptions) => {
    const { demo } = await import('../run/demo.js');
    setup.setExitCode(await demo(given));
  });
}
