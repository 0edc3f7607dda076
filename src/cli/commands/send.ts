/** What: `pageferry send`: the options. */
import { Command } from 'commander';

import {
  addressOption,
  commonOptions,
  eventsOption,
  guestOption,
  keyOptions,
  lanesOption,
  pluginOption,
  mirrorOptions,
  reconnectOption,
  sourceOptions,
  stateDirectoryOption,
  timeoutOption,
  type CommonOptions,
  type EventsOption,
  type MirrorSettings,
  type PluginSettings,
  type SourceSettings,
} from '../options.js';
import type { Setup } from '../program.js';

export interface SendOptions
  extends CommonOptions, EventsOption, MirrorSettings, PluginSettings, SourceSettings {
  readonly guest: URL;
  readonly to?: URL;
  readonly listen?: URL;
  readonly keyFile?: string;
  readonly keyFd?: number;
  readonly lanes?: number;
  readonly timeout: number;
  readonly reconnectTimeout: number;
  readonly stateDir?: string;
}

const help = `
Examples:
  $ pageferry send --guest 'demo:?ram=1G&dirtyRate=2000' --to tcp://other:7700 --key-file ferry.key
  $ pageferry send --guest demo: --listen tcp://0.0.0.0:7700 --key-file ferry.key
        the other side then dials: pageferry receive --guest demo: --from tcp://this:7700 ...
  $ PAGEFERRY_KEY=$(secret-tool lookup ferry key) pageferry send --guest demo: --to tcp://other:7700

The guest is never given up before the destination has it: whatever fails before that, it runs on
here. The key may also come from the variable PAGEFERRY_KEY, in hexadecimal or base64.`;

export function sendCommand(setup: Setup): Command {
  const command = new Command('send').summary('send a running guest to another pageferry');
  command.description('Sends a running guest to `pageferry receive`, which then runs it.');
  const options = [
    guestOption("the guest that is sent, such as 'demo:?ram=512M'"),
    addressOption('--to <url>', 'address the other side listens at').conflicts('listen'),
    addressOption('--listen <url>', 'address to listen at; the other side dials'),
    ...keyOptions(),
    ...mirrorOptions(),
    lanesOption(),
    pluginOption(),
    ...sourceOptions(),
    timeoutOption(),
    reconnectOption(),
    stateDirectoryOption(),
    ...commonOptions(),
    eventsOption(),
  ];
  for (const option of options) command.addOption(option);
  return command.addHelpText('after', help).action(async (given: SendOptions) => {
    const { send } = await import('../run/send.js');
    setup.setExitCode(await send(given, setup.loadParts));
  });
}
