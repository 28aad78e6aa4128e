/*
 * The description of the API, OpenAPI 3.1, made from the schemas by which requests are checked. It is put together once,
 * when somebody first asks; no route has a schema of the framework's, so requests and answers pass as they are.
 */
import swagger from '@fastify/swagger';
import type { FastifyInstance, FastifySchema } from 'fastify';
import { createJsonSchemaTransform, createJsonSchemaTransformObject } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { VERSION } from '../../version.ts';
import type { Access } from '../auth.ts';
import { errorAnswer, named } from './answers.ts';
import { type Answer, DOCS, type RouteDoc } from './table.ts';

const zodToJsonConfig = { unrepresentable: 'any', target: 'draft-2020-12' } as const;
const transformSchema = createJsonSchemaTransform({ schemaRegistry: named, zodToJsonConfig });
const transformObject = createJsonSchemaTransformObject({ schemaRegistry: named, zodToJsonConfig });

/** To be called before the routes are registered: it sees those that come after it. */
export function describeApi(app: FastifyInstance): void {
  app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'agent-system',
        version: VERSION,
        description: 'A task system for AI agents. Errors are `{error: {code, message, details?}}` everywhere.',
      },
      components: {
        securitySchemes: {
          apiKey: { type: 'apiKey', in: 'header', name: 'X-API-Key' },
          bearer: { type: 'http', scheme: 'bearer', description: 'An API key, or a JWT with scopes.' },
          metricsToken: { type: 'http', scheme: 'bearer', description: 'METRICS_TOKEN, where one is set.' },
        },
      },
    },
    transform: (document) => {
      const { route, url } = document;
      const doc = DOCS[`${route.method} ${url}`] ?? undescribed(`${route.method} ${url}`);
      const access = (route.config as { access?: Access } | undefined)?.access ?? 'admin';
      const described = transformSchema({ ...document, schema: schemaOf(doc, url, access) });
      return { schema: withExample(described.schema as Described, doc), url };
    },
    transformObject,
  });
}

/** Serves the description; among the routes, so that it describes itself. */
export function openApiRoute(app: FastifyInstance): void {
  let text: string | null = null;
  app.get('/openapi.json', { config: { access: 'open' } }, async (_request, reply) => {
    text ??= JSON.stringify(app.swagger());
    reply.type('application/json; charset=utf-8');
    return text;
  });
}

/** The test of the description fails on it; whoever reads it sees at least that there is something. */
function undescribed(route: string): RouteDoc {
  return { id: route, tag: 'undescribed', summary: route, answers: { 200: { description: 'An answer.' } } };
}

type Described = FastifySchema & { body?: object };

function schemaOf(doc: RouteDoc, url: string, access: Access): FastifySchema {
  const scope = access === 'open' || access === 'metrics' ? '' : `Wants \`${access}\`.`;
  const schema: Record<string, unknown> = {
    operationId: doc.id,
    tags: [doc.tag],
    summary: doc.summary,
    description: [doc.description, scope].filter(Boolean).join(' '),
    security: securityOf(access),
    response: answersOf(doc, access),
  };
  const names = [...url.matchAll(/:(\w+)/g)].map(([, name]) => name!);
  if (names.length > 0) schema.params = z.object(Object.fromEntries(names.map((name) => [name, z.string()])));
  if (doc.query) schema.querystring = doc.query;
  if (doc.body) schema.body = doc.body;
  return schema as FastifySchema;
}

function securityOf(access: Access): Record<string, string[]>[] {
  if (access === 'open') return [];
  return access === 'metrics' ? [{ metricsToken: [] }] : [{ apiKey: [] }, { bearer: [] }];
}

const REFUSALS: Record<number, string> = {
  400: 'Something about the request is wrong; each field is named.',
  401: 'No valid key or token came with the request.',
  403: 'The caller may not do this.',
  404: 'There is no such thing, or it is not the caller’s.',
  409: 'It does not go together with what stands.',
  413: 'It is too large.',
  429: 'Too many requests; see Retry-After.',
  503: 'Not now; see Retry-After.',
};

function answersOf(doc: RouteDoc, access: Access): Record<string, unknown> {
  const common = access === 'open' ? [] : [401, 403, 429, 503];
  const refusals = [...(doc.refusals ?? []), ...common].map((status): [number, Answer] => [
    status,
    { description: REFUSALS[status]!, schema: errorAnswer },
  ]);
  const all: Record<string, Answer> = { ...Object.fromEntries(refusals), ...doc.answers };
  return Object.fromEntries(Object.entries(all).map(([status, answer]) => [status, answerOf(answer)]));
}

function answerOf({ description, schema, type = 'application/json' }: Answer): unknown {
  return schema ? { description, content: { [type]: { schema } } } : z.null().describe(description);
}

function withExample(schema: Described, { example }: RouteDoc): Described {
  return example === undefined ? schema : { ...schema, body: { ...schema.body, examples: [example] } };
}
