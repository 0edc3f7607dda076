/** What: guest and transport URLs as the command line takes them. Schemes are judged later. */
import { ConfigurationError } from '../errors.js';

const lengthMax = 4096;

function parse(text: string, what: string, example: string): URL {
  if (text.length <= lengthMax && URL.canParse(text)) return new URL(text);
  const problem = `"${text.slice(0, 80)}" is not ${what} such as ${example}`;
  throw new ConfigurationError('ERR_PAGEFERRY_URL', problem);
}

/** "demo:?ram=512M". */
export function guestUrl(text: string): URL {
  return parse(text, 'a guest URL', 'demo:?ram=512M');
}

/** "tcp://HOST:PORT". A host and port alone is not guessed at: it parses as a scheme. */
export function transportUrl(text: string): URL {
  const example = 'tcp://127.0.0.1:4000';
  const url = parse(text, 'an address', example);
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) return url;
  const problem = `"${text.slice(0, 80)}" is not an address such as ${example}`;
  throw new ConfigurationError('ERR_PAGEFERRY_URL', problem);
}

export function schemeOf(url: URL): string {
  return url.protocol.slice(0, -1);
}
