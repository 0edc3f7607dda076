/**
 * What: `pageferry demo`: what it does. Makes a key in a private directory, starts a destination
 * and a source as processes of their own, shows what they tell, and puts their reports together.
 * Whatever happens, both processes and the directory are gone afterwards.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { ErrorCode } from '../../errors.js';
import { generateKeyFile } from '../../keys/index.js';
import type { ProcessEvent } from '../../observe/events.js';
import { failureReport, mergeReports } from '../../observe/report.js';
import type { MigrationReport, Role } from '../../session/types.js';
import { formatBytes, formatCount } from '../../units.js';
import { Child, type ChildEnd } from '../child.js';
import type { DemoOptions } from '../commands/demo.js';
import {
  destinationArguments,
  dialAddress,
  listenAddress,
  needsCredentials,
  sourceArguments,
} from '../demo-arguments.js';
import { EXIT, exitCodeOfReport, type ExitCode } from '../exit-codes.js';
import { Frontend } from '../frontend.js';
import { delay, Interruption } from '../interruption.js';
import { makeThrowawayCredentials } from '../throwaway-credentials.js';

/** After one side has failed, how long the other may take to notice by itself. */
const noticeGraceMs = 3000;

/** Key, state and sockets of one demo. */
class PrivateDirectory {
  readonly path = mkdtempSync(join(tmpdir(), 'pageferry-demo-'));
  private readonly onExit = (): void => {
    rmSync(this.path, { recursive: true, force: true });
  };

  constructor() {
    process.on('exit', this.onExit);
  }

  remove(): void {
    process.off('exit', this.onExit);
    this.onExit();
  }
}

interface Running {
  readonly front: Frontend;
  readonly children: Child[];
  readonly onErrorText: (role: Role) => (text: string) => void;
}

function start(
  running: Running,
  role: Role,
  args: readonly string[],
  onEvent: (event: ProcessEvent) => void,
): Child {
  const child = new Child(role, args, { onEvent, onErrorText: running.onErrorText(role) });
  running.children.push(child);
  return child;
}

/** What a side has to say for itself when it ended without a report. */
function reportOf(role: Role, end: ChildEnd): MigrationReport {
  if (end.report !== undefined) return end.report;
  const how = end.signal ?? `exit code ${end.exitCode ?? '?'}`;
  const said = end.errorText.trim().split('\n').at(-1) ?? '';
  const code: ErrorCode = 'ERR_PAGEFERRY_DEMO_PROCESS_DIED';
  const message = `the ${role}'s process died (${how})${said === '' ? '' : `: ${said}`}`;
  return failureReport({ code, message }, role);
}

const sourceTells: ReadonlySet<ProcessEvent['type']> = new Set([
  'established',
  'lane',
  'round',
  'held',
  'settings',
  'convergence',
  'ended',
]);

/** Both sides tell some things; each is shown once. */
function forward(front: Frontend, role: Role, event: ProcessEvent): void {
  if (event.type === 'notice') {
    front.notice(event.text);
    return;
  }
  if (role === 'source' || !sourceTells.has(event.type)) front.event(event);
}

/** Starts the destination; its address once it listens, undefined when it ended before that. */
async function startDestination(
  running: Running,
  args: readonly string[],
): Promise<{ child: Child; address: string | undefined }> {
  const listening = new Promise<string | undefined>((resolve) => {
    const child = start(running, 'destination', args, (event) => {
      forward(running.front, 'destination', event);
      if (event.type === 'listening') resolve(event.address);
    });
    void child.ended.then(() => {
      resolve(undefined);
    });
  });
  const address = await listening;
  const child = running.children[0];
  if (child === undefined) throw new Error('a child that was never started');
  return { child, address };
}

/** Waits for both; when one has failed, the other is told after a moment. */
async function bothEnds(
  source: Child,
  destination: Child,
): Promise<readonly [MigrationReport, MigrationReport]> {
  const watch = async (one: Child, other: Child): Promise<ChildEnd> => {
    const end = await one.ended;
    if (end.exitCode !== EXIT.completed) {
      const noticed = new AbortController();
      void other.ended.then(() => {
        noticed.abort();
      });
      await delay(noticeGraceMs, noticed.signal);
      other.stop();
    }
    return end;
  };
  const [sourceEnd, destinationEnd] = await Promise.all([
    watch(source, destination),
    watch(destination, source),
  ]);
  return [reportOf('source', sourceEnd), reportOf('destination', destinationEnd)];
}

function begin(front: Frontend, options: DemoOptions): void {
  const pages = `${formatCount(options.dirtyRate)} pages/s`;
  const mirror = `engine ${options.engine}, ${options.vcpus} mirror vCPUs`;
  front.begin({
    title: 'pageferry demo',
    facts: [
      ['guest', `${formatBytes(options.ram)} of RAM, writing ${pages}`],
      ['mirror', `${mirror}, codec ${options.codec}`],
    ],
  });
}

async function migrate(
  options: DemoOptions,
  running: Running,
  directory: string,
  interruption: Interruption,
): Promise<ExitCode> {
  const { front } = running;
  const keyFile = join(directory, 'session.key');
  await generateKeyFile(keyFile);
  begin(front, options);
  const credentials = needsCredentials(options.transport)
    ? await makeThrowawayCredentials(directory)
    : '';
  const asked = listenAddress(options.transport, directory, credentials);
  const listenArguments = destinationArguments(options, asked, directory, keyFile);
  const { child: destination, address } = await startDestination(running, listenArguments);
  if (address === undefined) {
    const end = await destination.ended;
    front.finish(reportOf('destination', end));
    return end.exitCode === EXIT.usage ? EXIT.usage : EXIT.failed;
  }
  const source = start(
    running,
    'source',
    sourceArguments(options, dialAddress(address, asked), directory, keyFile),
    (event) => {
      forward(front, 'source', event);
    },
  );
  if (interruption.signal.aborted) source.stop();
  const [sent, received] = await bothEnds(source, destination);
  const report = mergeReports(sent, received);
  front.finish(report, adviceOf(report));
  return exitCodeOfReport(report);
}

function adviceOf(report: MigrationReport): string[] {
  if (report.outcome === 'completed') return [];
  return report.guest.role === 'source' && report.guest.state === 'running'
    ? ['the guest went on running at the source']
    : [];
}

export async function demo(options: DemoOptions): Promise<ExitCode> {
  const interruption = new Interruption();
  const front = new Frontend(options);
  const running: Running = {
    front,
    children: [],
    onErrorText: (role) => (text) => {
      for (const line of text.trimEnd().split('\n')) front.log(role, line);
    },
  };
  const killAll = (): void => {
    for (const child of running.children) child.kill();
  };
  process.on('exit', killAll);
  interruption.onStop((signal) => {
    // The source tells the destination; alone, the destination is told from here.
    const source = running.children.find((child) => child.role === 'source');
    (source ?? running.children[0])?.stop(signal);
  });
  const directory = new PrivateDirectory();
  try {
    return await migrate(options, running, directory.path, interruption);
  } finally {
    killAll();
    await Promise.all(running.children.map((child) => child.ended));
    directory.remove();
    front.close();
    process.off('exit', killAll);
    interruption.dispose();
  }
}
