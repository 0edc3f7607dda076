/**
 * What: the socket in the file system: who may connect, whose it is, and what becomes of one that
 * a dead process left.
 *
 * A socket is bound in a directory of its own that nobody else may enter, gets its mode there, and
 * is then linked to its place: nobody can connect before the mode is right, and a link never
 * replaces what is there. A stale socket is taken away under a lock, so that of several who find it
 * one does so: otherwise the second could take away what the first has just put in its place.
 */
import { createHash } from 'node:crypto';
import { lstatSync, rmSync, unlinkSync } from 'node:fs';
import { chmod, link, lstat, mkdtemp, rename, stat } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { basename, dirname, join } from 'node:path';

import { laneError, systemError } from '../../src/transport/base/index.js';
import { socketPathBytesMax } from './address.js';
import type { UnixAddress } from './address.js';

const workshopPrefix = '.pf';
const permissionsMask = 0o777;
const othersWrite = 0o022;
const sticky = 0o1000;

function errnoOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? '';
}

function octal(mode: number): string {
  return (mode & permissionsMask).toString(8).padStart(4, '0');
}

function isTrusted(uid: number, owner: number | undefined): boolean {
  return uid === 0 || uid === process.geteuid?.() || uid === owner;
}

type Phase = 'dial' | 'listen';

function forbidden(phase: Phase, at: UnixAddress, why: string): Error {
  return laneError('FORBIDDEN', `cannot ${phase} unix://${at.path}: ${why}`, { phase });
}

/** Whoever may write to the directory can put a socket of his own in place of this one. */
async function checkDirectory(at: UnixAddress, phase: Phase): Promise<void> {
  const directory = dirname(at.path);
  const facts = await stat(directory).catch((error: unknown) => {
    if (errnoOf(error) !== 'ENOENT') throw systemError(error, phase, `${phase} unix://${at.path}`);
    const message = `cannot ${phase} unix://${at.path}: there is no directory ${directory}`;
    const isDial = phase === 'dial';
    const code = isDial ? 'REFUSED' : 'ADDRESS_UNAVAILABLE';
    throw laneError(code, message, { phase, retryable: isDial });
  });
  if (!isTrusted(facts.uid, at.owner)) {
    throw forbidden(phase, at, `${directory} belongs to user ${facts.uid}`);
  }
  if ((facts.mode & othersWrite) !== 0 && (facts.mode & sticky) === 0) {
    const mode = octal(facts.mode);
    throw forbidden(phase, at, `others may replace files in ${directory} (mode ${mode})`);
  }
}

/** Throws TransportError (phase dial) unless there is a socket of somebody trusted. */
export async function checkSocket(at: UnixAddress): Promise<void> {
  await checkDirectory(at, 'dial');
  const facts = await lstat(at.path).catch((error: unknown) => {
    throw systemError(error, 'dial', `dial unix://${at.path}`);
  });
  if (!facts.isSocket()) throw forbidden('dial', at, 'it is no socket');
  if (!isTrusted(facts.uid, at.owner)) {
    const why = `it belongs to user ${facts.uid}; ?owner=${facts.uid} would allow that`;
    throw forbidden('dial', at, why);
  }
  if ((facts.mode & permissionsMask & ~at.mode & ~0o111) !== 0) {
    const why = `others may connect to it (mode ${octal(facts.mode)}); ?mode= would allow that`;
    throw forbidden('dial', at, why);
  }
}

/** Whether somebody listens at a socket. */
function isAlive(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const probe = connect({ path });
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', (error) => {
      const code = errnoOf(error);
      // A full queue is somebody's.
      if (code === 'EAGAIN') resolve(true);
      else if (code === 'ECONNREFUSED' || code === 'ENOENT') resolve(false);
      else reject(error);
    });
  });
}

/**
 * Takes the right to put something in this place of the file system; undefined when somebody has
 * it. The lock is a socket in Linux' abstract namespace (unix(7)), named after the directory: it
 * goes with its process, however that ends. Resolves with what gives it back.
 */
async function lockPlace(path: string): Promise<(() => Promise<void>) | undefined> {
  const { dev, ino } = await stat(dirname(path), { bigint: true });
  const place = createHash('sha256')
    .update(`${dev}:${ino}:${basename(path)}`)
    .digest('hex');
  const lock = createServer();
  const isTaken = new Promise<boolean>((resolve, reject) => {
    lock.once('error', (error) => {
      if (errnoOf(error) === 'EADDRINUSE') resolve(false);
      else reject(error);
    });
    lock.listen(`\0pageferry-${place}`, () => {
      resolve(true);
    });
  });
  if (!(await isTaken)) return undefined;
  return () =>
    new Promise((resolve) => {
      lock.close(() => {
        resolve();
      });
    });
}

export class SocketFile {
  /** Where the listener binds. */
  readonly bindPath: string;
  readonly #at: UnixAddress;
  readonly #workshop: string;
  #inode: bigint | undefined;

  private constructor(at: UnixAddress, workshop: string) {
    this.#at = at;
    this.#workshop = workshop;
    this.bindPath = join(workshop, 's');
  }

  /** Rejects with TransportError (phase listen). Call removeWorkshop in any case. */
  static async prepare(at: UnixAddress): Promise<SocketFile> {
    await checkDirectory(at, 'listen');
    const prefix = join(dirname(at.path), workshopPrefix);
    if (Buffer.byteLength(`${prefix}XXXXXX/s`) > socketPathBytesMax) {
      const message = `cannot listen at unix://${at.path}: the directory's name is too long`;
      throw laneError('ADDRESS_UNAVAILABLE', message, { phase: 'listen' });
    }
    const workshop = await mkdtemp(prefix).catch((error: unknown) => {
      throw systemError(error, 'listen', `listen at unix://${at.path}`);
    });
    return new SocketFile(at, workshop);
  }

  removeWorkshop(): void {
    rmSync(this.#workshop, { recursive: true, force: true });
  }

  /** Puts the bound socket in its place. */
  async publish(): Promise<void> {
    try {
      await chmod(this.bindPath, this.#at.mode);
      this.#inode = (await lstat(this.bindPath, { bigint: true })).ino;
      if (await this.#linked()) return;
      const unlock = await lockPlace(this.#at.path);
      if (unlock === undefined) throw this.#inUse('somebody else takes its place just now');
      try {
        await this.#takeAwayStale();
        if (await this.#linked()) return;
      } finally {
        await unlock();
      }
    } catch (error) {
      throw systemError(error, 'listen', `listen at unix://${this.#at.path}`);
    }
    throw this.#inUse('somebody else listens there');
  }

  /** Takes the socket away, if it is still this one. */
  retract(): void {
    try {
      const facts = lstatSync(this.#at.path, { bigint: true });
      if (facts.ino === this.#inode) unlinkSync(this.#at.path);
    } catch (error) {
      // Somebody has tidied up already.
      if (errnoOf(error) !== 'ENOENT') throw error;
    }
  }

  async #linked(): Promise<boolean> {
    try {
      await link(this.bindPath, this.#at.path);
      return true;
    } catch (error) {
      if (errnoOf(error) === 'EEXIST') return false;
      throw error;
    }
  }

  /** Removes a socket nobody listens at; rejects when what is there is anything else. */
  async #takeAwayStale(): Promise<void> {
    const { path } = this.#at;
    const found = await lstat(path).catch((error: unknown) => {
      // It has gone by itself: its owner was just leaving.
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw error;
    });
    if (found === undefined) return;
    if (!found.isSocket()) throw this.#inUse('there is a file that is no socket');
    if (!isTrusted(found.uid, undefined)) {
      throw forbidden('listen', this.#at, `the socket there belongs to user ${found.uid}`);
    }
    if (await isAlive(path)) throw this.#inUse('somebody listens there');
    await rename(path, join(this.#workshop, 'stale'));
  }

  #inUse(why: string): Error {
    const message = `cannot listen at unix://${this.#at.path}: the address is in use: ${why}`;
    return laneError('ADDRESS_IN_USE', message, { phase: 'listen' });
  }
}
