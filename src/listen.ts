import type { Api } from './api/server.ts';
import { ConfigurationError } from './errors.ts';
import type { Logger } from './observability/logger.ts';

/**
 * Listens where it was configured, or on a free port where nobody asked for the one that is taken; answers the URL.
 * @throws ConfigurationError when the port cannot be had
 */
export async function listenOn(
  api: Api,
  { host, port, mayMove }: { host: string; port: number; mayMove: boolean },
  logger: Logger,
): Promise<string> {
  try {
    return (await api.listen({ host, port })).url;
  } catch (error) {
    const { code } = error as { code?: string };
    if (code !== 'EADDRINUSE' && code !== 'EACCES' && code !== 'EADDRNOTAVAIL') throw error;
    if (code === 'EADDRINUSE' && mayMove) {
      const { url } = await api.listen({ host, port: 0 });
      logger.warn({ wanted: port, url }, 'The default port is in use: listening on a free one');
      return url;
    }
    const why = code === 'EADDRINUSE' ? 'is in use' : 'cannot be listened on';
    throw new ConfigurationError([
      `port ${port} of ${host} ${why} (${code}): stop what listens there, or choose another with --port`,
    ]);
  }
}
