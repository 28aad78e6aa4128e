import { execFileSync } from 'node:child_process';

const WANTED =
  'the tests need the program redis-server (7.0 or newer): install it, for example with "apt-get install redis-server" or "brew install redis"';

/** Makes sure that there is a Redis to test against; the tests that need one are never left out silently. */
export default function setup(): void {
  if (hasRedis() || (mayInstall() && install() && hasRedis())) return;
  throw new Error(WANTED);
}

function hasRedis(): boolean {
  return succeeds('redis-server', ['--version']);
}

function mayInstall(): boolean {
  return process.getuid?.() === 0 && succeeds('apt-get', ['--version']);
}

/** Only the program is wanted: in run level 1 the package starts no service. */
function install(): boolean {
  const quiet = ['-o', 'Dpkg::Options::=--force-confold', '--no-install-recommends', '-yq'];
  return succeeds('apt-get', ['update', '-q']) && succeeds('apt-get', ['install', ...quiet, 'redis-server']);
}

function succeeds(program: string, args: string[]): boolean {
  try {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
    execFileSync(program, args, { stdio: 'ignore', env });
    return true;
  } catch {
    return false;
  }
}
