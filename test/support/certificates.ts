/** Certificates made by openssl for one test run: an authority, and what it signs. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Certificate {
  certFile: string;
  keyFile: string;
  cert: string;
  key: string;
}

export class Authority {
  readonly #dir = mkdtempSync(join(tmpdir(), 'agent-system-tls-'));
  readonly #name: string;
  readonly file: string;

  constructor(name = 'test-authority') {
    this.#name = name;
    this.file = join(this.#dir, `${name}.pem`);
    const subject = ['-subj', `/CN=${name}`, '-days', '2', '-addext', 'basicConstraints=critical,CA:TRUE'];
    this.#openssl('req', '-x509', ...KEY, '-keyout', this.#path(`${name}.key`), '-out', this.file, ...subject);
  }

  get pem(): string {
    return readFileSync(this.file, 'utf8');
  }

  /** @param names as in subjectAltName, such as `IP:127.0.0.1`; with days below 0 it has run out */
  sign(name: string, names: string, days = 2): Certificate {
    const [request, certFile, keyFile] = ['csr', 'pem', 'key'].map((end) => this.#path(`${name}.${end}`));
    this.#openssl('req', '-new', ...KEY, '-keyout', keyFile!, '-out', request!, '-subj', `/CN=${name}`);
    writeFileSync(this.#path('names'), `subjectAltName=${names}\n`);
    const signer = ['-CA', this.file, '-CAkey', this.#path(`${this.#name}.key`), '-CAcreateserial'];
    const signed = ['-in', request!, '-out', certFile!, '-days', String(days), '-extfile', this.#path('names')];
    this.#openssl('x509', '-req', ...signer, ...signed);
    return {
      certFile: certFile!,
      keyFile: keyFile!,
      cert: readFileSync(certFile!, 'utf8'),
      key: readFileSync(keyFile!, 'utf8'),
    };
  }

  remove(): void {
    rmSync(this.#dir, { recursive: true, force: true });
  }

  #path(name: string): string {
    return join(this.#dir, name);
  }

  #openssl(...args: string[]): void {
    execFileSync('openssl', args, { stdio: 'pipe' });
  }
}

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
