/**
 * What: strict reading of the query of an address, `?name=value&...`: known names only, each at
 * most once, nothing empty. What is wrong is said with what was expected.
 */
import { addressError } from '../../src/transport/base/index.js';

/** The parameters of `address`; throws ConfigurationError for any that is not in `known`. */
export function parametersOf(address: URL, known: readonly string[]): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const [name, value] of address.searchParams) {
    if (!known.includes(name)) {
      throw addressError(address, `only the parameters ${known.join(', ')}, not "${name}"`);
    }
    if (found.has(name)) throw addressError(address, `the parameter ${name} once`);
    if (value === '') throw addressError(address, `a value for the parameter ${name}`);
    found.set(name, value);
  }
  return found;
}
