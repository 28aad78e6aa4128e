import type { FastifyInstance } from 'fastify';
import { required } from '../body.ts';
import type { ApiContext } from '../context.ts';

/** What every role answers: is it alive, may it be sent work, what is it, how much does it do. */
export function systemRoutes(app: FastifyInstance, context: ApiContext): void {
  app.get('/health', { config: { access: 'open' } }, async (_request, reply) => {
    const health = context.health();
    reply.code(health.status === 'unhealthy' ? 503 : 200);
    return health;
  });

  app.get('/ready', { config: { access: 'open' } }, async (_request, reply) => {
    const readiness = context.readiness();
    reply.code(readiness.ready ? 200 : 503);
    return readiness;
  });

  // It shows what runs here, of every tenant.
  app.get('/status', { config: { access: 'fleet:read' } }, async () => context.status());

  const { send } = context;
  if (send) {
    app.post('/send', { config: { access: 'tasks:write' } }, async ({ body, caller }, reply) => {
      const accepted = await send.send(required(body), caller);
      reply.code(202);
      return accepted;
    });
  }

  app.get('/metrics', { config: { access: 'metrics' } }, async (_request, reply) => {
    const { contentType, text } = await context.metrics();
    reply.type(contentType);
    return text;
  });
}
