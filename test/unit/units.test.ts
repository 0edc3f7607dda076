import { strict as assert } from 'node:assert';

import {
  formatByteRate,
  formatBytes,
  formatCount,
  formatMilliseconds,
  parseBytes,
  parseCount,
  parseMilliseconds,
  parsePercentage,
  parseByteRate,
  parseRate,
} from '../../src/units.js';

const refuses = (parse: (text: string) => number, texts: readonly string[]): void => {
  for (const text of texts) assert.throws(() => parse(text), { name: 'ConfigurationError' }, text);
};

describe('units', () => {
  it('reads sizes as powers of 1024 and nothing else', () => {
    assert.equal(parseBytes('0'), 0);
    assert.equal(parseBytes('4096'), 4096);
    assert.equal(parseBytes('64k'), 65_536);
    assert.equal(parseBytes('512M'), 536_870_912);
    assert.equal(parseBytes('512MiB'), 536_870_912);
    assert.equal(parseBytes('4GB'), 4 * 2 ** 30);
    assert.equal(parseBytes('1T'), 2 ** 40);
    refuses(parseBytes, ['', 'M', '-1', '1.5G', '1 G', '1e3', '0x10', '9P', '512MM', '9999999T']);
  });

  it('says the limits a size has to keep', () => {
    const parse = (text: string): number => parseBytes(text, 4096, 2 ** 30);
    assert.throws(() => parse('1K'), { message: '"1K" is not between 4 KiB and 1 GiB' });
    assert.throws(() => parse('2G'), { code: 'ERR_PAGEFERRY_UNIT_RANGE' });
  });

  it('reads counts, rates, durations and percentages strictly', () => {
    assert.equal(parseCount('17'), 17);
    refuses(parseCount, ['', '1.0', '-1', '1k', ' 1', '1e2', 'NaN']);
    assert.equal(parseRate('2000'), 2000);
    assert.equal(parseRate('20k'), 20_000);
    assert.equal(parseRate('20k/s'), 20_000);
    assert.equal(parseByteRate('50MB/s'), 50e6);
    assert.equal(parseByteRate('1.5g'), 1.5e9);
    assert.equal(parseByteRate('400Mbit/s'), 50e6);
    refuses(parseByteRate, ['', 'MB', '-1', '5 Mi', '2TB/s', '9999999999GB/s']);
    refuses(parseRate, ['', 'k', '20m', '2/s/s', '99999999999']);
    assert.equal(parseMilliseconds('300'), 300);
    assert.equal(parseMilliseconds('300ms'), 300);
    assert.equal(parseMilliseconds('1.5s'), 1500);
    assert.equal(parseMilliseconds('2m'), 120_000);
    refuses(parseMilliseconds, ['', 's', '-1', '1h', '1,5s', '99999999s']);
    assert.equal(parsePercentage('25%'), 0.25);
    assert.equal(parsePercentage('12.5'), 0.125);
    refuses(parsePercentage, ['', '%', '101%', '-1%', '5%%']);
  });

  it('prints sizes, rates, counts and durations for eyes', () => {
    assert.equal(formatBytes(0), '0 B');
    assert.equal(formatBytes(536_870_912), '512 MiB');
    assert.equal(formatBytes(1.5 * 2 ** 30), '1.5 GiB');
    assert.equal(formatBytes(2 ** 30 - 1), '1 GiB');
    assert.equal(formatBytes(215.34 * 2 ** 20), '215 MiB');
    assert.equal(formatByteRate(1.214e9), '1.21 GB/s');
    assert.equal(formatByteRate(0), '0 B/s');
    assert.equal(formatCount(131_072), '131,072');
    assert.equal(formatCount(999), '999');
    assert.equal(formatMilliseconds(0.42), '0.4 ms');
    assert.equal(formatMilliseconds(42.4), '42 ms');
    assert.equal(formatMilliseconds(1250), '1.25 s');
    assert.equal(formatMilliseconds(185_000), '3 min 5 s');
  });
});
