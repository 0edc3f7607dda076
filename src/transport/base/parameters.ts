/**
 * What: the options of an address, `scheme://PLACE?name=value&name=value`. That is where a
 * transport's options belong: each side gives its own, and a plugin's need no change here. Only
 * names of files, never a secret: addresses are shown and logged.
 */
import { addressError } from './address.js';

/** The parameters of `address`. Throws ConfigurationError for unknown, repeated and empty ones. */
export function addressParameters<Name extends string>(
  address: URL,
  known: readonly Name[],
): Partial<Record<Name, string>> {
  const found: Partial<Record<Name, string>> = {};
  for (const [given, value] of address.searchParams) {
    const name = known.find((one) => one === given);
    if (name === undefined) {
      const names = known.length === 0 ? 'no parameters' : `parameters among ${known.join(', ')}`;
      throw addressError(address, `${names}, not "${given}"`);
    }
    if (found[name] !== undefined) throw addressError(address, `parameter ${name} only once`);
    if (value === '') throw addressError(address, `a value for parameter ${name}`);
    found[name] = value;
  }
  return found;
}

/** The address without its parameters: the place alone. */
export function withoutParameters(address: URL): URL {
  const place = new URL(address);
  place.search = '';
  return place;
}
