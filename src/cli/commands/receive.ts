/** What: `pageferry receive`: the options. */
import { Command, Option } from 'commander';

import {
  addressOption,
  commonOptions,
  durationParser,
  eventsOption,
  guestOption,
  keyOptions,
  lanesOption,
  pluginOption,
  mirrorOptions,
  reconnectOption,
  stateDirectoryOption,
  timeoutOption,
  type CommonOptions,
  type EventsOption,
  type MirrorSettings,
  type PluginSettings,
} from '../options.js';
import type { Setup } from '../program.js';

export interface ReceiveOptions
  extends CommonOptions, EventsOption, MirrorSettings, PluginSettings {
  readonly guest: URL;
  readonly from?: URL;
  readonly listen?: URL;
  readonly keyFile?: string;
  readonly keyFd?: number;
  readonly lanes?: number;
  readonly timeout: number;
  readonly reconnectTimeout: number;
  readonly stateDir?: string;
  /** Milliseconds. */
  readonly exitAfter?: number;
}

const help = `
Examples:
  $ pageferry receive --guest demo: --listen tcp://0.0.0.0:7700 --key-file ferry.key
  $ pageferry receive --guest demo: --listen tcp://127.0.0.1:0 --key-file ferry.key --json
        port 0 is a free one; the address with the real port is printed
  $ pageferry receive --guest demo: --from tcp://source:7700 --key-file ferry.key
        for a source that listens

On a terminal the guest runs on here until Ctrl-C; otherwise until it has checked itself. The key
may also come from the variable PAGEFERRY_KEY, in hexadecimal or base64.`;

export function receiveCommand(setup: Setup): Command {
  const command = new Command('receive').summary('receive a guest and run it');
  command.description('Receives a guest from `pageferry send` and runs it here.');
  const options = [
    guestOption('what the guest becomes here, such as demo:'),
    addressOption('--from <url>', 'address the source listens at').conflicts('listen'),
    addressOption('--listen <url>', 'address to listen at; the source dials'),
    ...keyOptions(),
    ...mirrorOptions(),
    lanesOption(),
    pluginOption(),
    timeoutOption(),
    reconnectOption(),
    stateDirectoryOption(),
    new Option('--exit-after <ms>', 'end the guest so long after the migration').argParser(
      durationParser(0),
    ),
    ...commonOptions(),
    eventsOption(),
  ];
  for (const option of options) command.addOption(option);
  return command.addHelpText('after', help).action(async (given: ReceiveOptions) => {
    const { receive } = await import('../run/receive.js');
    setup.setExitCode(await receive(given, setup.loadParts));
  });
}
