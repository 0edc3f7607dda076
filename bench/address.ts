/** What: addresses of the measurements. Pure. */

/** The listener's address with the parameters of `place`, such as files of credentials. */
export function withParameters(address: string, place: string): string {
  const url = new URL(address);
  if (url.search === '') url.search = new URL(place).search;
  return url.href;
}
