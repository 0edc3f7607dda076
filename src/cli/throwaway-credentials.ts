/**
 * What: certificate and key for the demo's two processes, good for a day and for this host alone.
 * Both sides show the same certificate, which signs itself and is the authority both trust; the
 * private directory it lies in is what keeps strangers out.
 */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { ConfigurationError } from '../errors.js';

const run = promisify(execFile);
const request = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
const subject = ['-subj', '/CN=pageferry demo', '-addext', 'subjectAltName=IP:127.0.0.1'];

/**
 * Makes them in `directory` and returns the parameters of an address that name them. Needs the
 * program openssl: Node makes keys but no certificates. Throws ConfigurationError without it.
 */
export async function makeThrowawayCredentials(directory: string): Promise<string> {
  const cert = join(directory, 'lane.crt');
  const key = join(directory, 'lane.key');
  const files = ['-keyout', key, '-out', cert];
  try {
    await run('openssl', ['req', '-x509', ...request, ...files, '-days', '1', ...subject]);
  } catch (cause) {
    const problem = 'the demo makes a certificate with openssl, which did not work here';
    throw new ConfigurationError('ERR_PAGEFERRY_DEMO_CERTIFICATE', problem, { cause });
  }
  return new URLSearchParams({ cert, key, ca: cert }).toString();
}
