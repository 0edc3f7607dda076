/** Certificates of the tests: an authority, and whom it signs; made by openssl, in a directory. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

export class Authority {
  readonly directory = mkdtempSync(join(tmpdir(), 'pageferry-ca-'));
  readonly ca = join(this.directory, 'ca.pem');
  readonly #key = join(this.directory, 'ca.key');

  constructor() {
    this.#openssl(
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'],
      ...['-keyout', this.#key, '-out', this.ca, '-subj', '/CN=test authority', '-days', '2'],
    );
  }

  /** A key and a certificate for `names`, such as `DNS:localhost,IP:127.0.0.1`. */
  issue(file: string, names: string): CertificateFiles {
    const at = (ending: string): string => join(this.directory, `${file}.${ending}`);
    this.#openssl(
      ...['req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'],
      ...['-keyout', at('key'), '-out', at('csr'), '-subj', `/CN=${file}`],
    );
    writeFileSync(at('ext'), `subjectAltName=${names}\n`);
    this.#openssl(
      ...['x509', '-req', '-in', at('csr'), '-CA', this.ca, '-CAkey', this.#key],
      ...['-CAcreateserial', '-out', at('pem'), '-days', '2', '-extfile', at('ext')],
    );
    return { cert: at('pem'), key: at('key') };
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }

  #openssl(...args: string[]): void {
    execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  }
}
