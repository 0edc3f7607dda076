import assert from 'node:assert/strict';

import type { Guest } from '../../../src/guest/contract.js';
import type { NativeMemory } from '../../../src/native/addon.js';
import {
  type Backend,
  corrupt,
  firstPage,
  headerOffset,
  onEachBackend,
  pageBytes,
  tableOffset,
  ticksOn,
  withSource,
} from '../../support/demo-guest.js';

const ram = 32 * 2 ** 20;
const first = firstPage(ram);
const fillPages = ram / pageBytes / 2;
const workingSetPages = 6000;

function entryOf(index: number): number {
  return tableOffset + (first + index) * 4;
}

/** A byte of each thing that the guest, or its VMM for it, has written. */
function placesOf(backend: Backend): [name: string, offset: number][] {
  const pageOf = (index: number): number => (first + index) * pageBytes;
  return [
    ['the first filled page', pageOf(0)],
    ['the last byte of the first filled page', pageOf(1) - 1],
    ['the last filled page', pageOf(fillPages - 1)],
    ['the last byte of the last filled page', pageOf(fillPages) - 1],
    ['a page in the middle', pageOf(1234) + 2000],
    ['the version of the first page', entryOf(0)],
    ['the version of the last filled page', entryOf(fillPages - 1) + 3],
    ['the version of a page that was never written', entryOf(workingSetPages - 1)],
    ['the seed', headerOffset + 8],
    ['the last of the constants', headerOffset + 9 * 8],
    ...(backend === 'kvm' ? kvmPlaces : []),
  ];
}

const kvmPlaces: [string, number][] = [
  ['the GDT', 0x2008],
  ['the IDT', 0x3000 + 13 * 16],
  ['the TSS', 0x4004],
  ['the image', 0x10000],
  ['the page tables', 0x22000],
];

async function badPages(guest: Guest): Promise<number> {
  const answer = await guest.selfCheck();
  assert.ok(answer !== undefined);
  assert.equal(answer.ok, answer.badPages === 0);
  return answer.badPages;
}

async function isFoundAndMended(
  guest: Guest,
  memory: NativeMemory,
  [name, offset]: [string, number],
): Promise<void> {
  corrupt(memory, offset);
  assert.notEqual(await badPages(guest), 0, `${name} is not checked`);
  corrupt(memory, offset);
  assert.equal(await badPages(guest), 0, `${name} is as it was`);
}

onEachBackend('the self-check of the demo guest', (backend) => {
  const sets = `fill=50%25&workingSet=${workingSetPages * pageBytes}`;
  const still = `ram=${ram}&dirtyRate=0&${sets}`;
  const busy = `ram=${ram}&fill=75%25&workingSet=1M&dirtyRate=1000000`;

  it('never answers with what it found before', async () => {
    // Ticks that never end before the next is due: every request comes in the middle of one.
    await withSource(backend, busy, async (guest, memory) => {
      const untouched = (first + 4000) * pageBytes;
      for (let round = 0; round < 5; round += 1) {
        assert.equal(await badPages(guest), 0);
        corrupt(memory, untouched);
        assert.equal(await badPages(guest), 1);
        corrupt(memory, untouched);
      }
    });
  });

  it('finds one wrong byte anywhere in what was written, while the guest runs', async () => {
    await withSource(backend, still, async (guest, memory) => {
      const places = placesOf(backend).filter(
        // A running vCPU without its descriptors or code is gone; a seed is for the whole RAM.
        ([name]) => !/IDT|TSS|image|page tables|GDT/.test(name),
      );
      for (const place of places) {
        corrupt(memory, place[1]);
        assert.notEqual(await badPages(guest), 0, `${place[0]} is not checked`);
        corrupt(memory, place[1]);
      }
    });
  });

  it('finds one wrong byte anywhere in what was written, while the guest is paused', async () => {
    await withSource(backend, still, async (guest, memory) => {
      await guest.pause();
      assert.equal((await guest.selfCheck())?.pagesChecked, fillPages);
      for (const place of placesOf(backend)) await isFoundAndMended(guest, memory, place);
      // What ticks change is bound to the tick before.
      for (let offset = 10 * 8; offset <= 26 * 8; offset += 8) {
        await isFoundAndMended(guest, memory, [`word ${offset / 8}`, headerOffset + offset]);
      }
    });
  });

  it('remembers a header that was not as the tick before had left it', async () => {
    await withSource(backend, still, async (guest, memory) => {
      await guest.pause();
      corrupt(memory, headerOffset + 12 * 8);
      await guest.resume();
      await ticksOn(guest);
      assert.equal(await badPages(guest), 1);
      assert.equal(await badPages(guest), 1);
      await guest.pause();
      assert.equal(await badPages(guest), 1);
    });
  });

  it('finds pages that came back to an older content of their own', async () => {
    await withSource(backend, busy, async (guest, memory) => {
      const size = 256 * pageBytes;
      const tableBytes = 4096;
      const table = entryOf(0) - (entryOf(0) % pageBytes);
      await guest.pause();
      const older = memory.read(first * pageBytes, size);
      const olderVersions = memory.read(table, tableBytes);
      await guest.resume();
      await ticksOn(guest, 200);
      await guest.pause();
      const newer = memory.read(first * pageBytes, size);
      assert.equal(await badPages(guest), 0);
      memory.write(first * pageBytes, older);
      const lost = await badPages(guest);
      assert.ok(lost > 0, 'pages without their versions');
      memory.write(first * pageBytes, newer);
      memory.write(table, olderVersions);
      assert.ok((await badPages(guest)) > 0, 'versions without their pages');
      await guest.resume();
      assert.ok((await badPages(guest)) > 0, 'versions without their pages, running');
    });
  });

  it('finds one page that came back together with its version', async () => {
    const query = `ram=${ram}&fill=0%25&workingSet=4096&dirtyRate=1000`;
    await withSource(backend, query, async (guest, memory) => {
      await ticksOn(guest, 10);
      await guest.pause();
      const older = memory.read(first * pageBytes, pageBytes);
      const olderVersion = memory.read(entryOf(0), 4);
      await guest.resume();
      await ticksOn(guest, 10);
      await guest.pause();
      const [newer, newerVersion] = [
        memory.read(first * pageBytes, pageBytes),
        memory.read(entryOf(0), 4),
      ];
      memory.write(first * pageBytes, older);
      memory.write(entryOf(0), olderVersion);
      assert.equal(await badPages(guest), 1);
      memory.write(first * pageBytes, newer);
      memory.write(entryOf(0), newerVersion);
      assert.equal(await badPages(guest), 0);
      memory.write(first * pageBytes, older);
      memory.write(entryOf(0), olderVersion);
      await guest.resume();
      assert.equal(await badPages(guest), 1);
    });
  });

  it('is told when the guest stops before it has an answer', async () => {
    await withSource(backend, busy, async (guest) => {
      const asked = assert.rejects(guest.selfCheck(), { code: 'ERR_PAGEFERRY_GUEST_STATE' });
      await Promise.all([asked, guest.close()]);
    });
  });

  it('allocates no memory', async () => {
    const query = `ram=256M&fill=10%25&workingSet=16M&dirtyRate=0`;
    await withSource(backend, query, async (guest, memory) => {
      const before = memory.allocatedBytes();
      assert.equal(await badPages(guest), 0);
      await guest.pause();
      assert.equal(await badPages(guest), 0);
      assert.equal(memory.allocatedBytes(), before);
    });
  });
});
