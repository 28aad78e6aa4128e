import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { z } from 'zod';
import * as answers from '../../src/api/docs/answers.ts';
import { DOCS } from '../../src/api/docs/table.ts';
import { anApi, call, type TestApi } from './builders.ts';
import { failFor } from './stores.ts';

interface Operation {
  operationId: string;
  summary: string;
  tags: string[];
  security: Record<string, string[]>[];
  parameters?: { name: string; in: string; required: boolean }[];
  requestBody?: { content: Record<string, { example?: unknown }> };
  responses: Record<string, { description: string; content?: Record<string, unknown> }>;
}

let api: TestApi;
// biome-ignore lint/suspicious/noExplicitAny: the document is walked as it comes
let document: any;
let operations: [string, Operation][];

beforeAll(async () => {
  api = await anApi();
  document = (await call(api, 'GET', '/openapi.json')).body;
  operations = Object.entries(document.paths as Record<string, Record<string, Operation>>).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): [string, Operation] => [
      `${method.toUpperCase()} ${path}`,
      operation,
    ]),
  );
});
afterAll(() => api.api.close());

describe('the description of the API', () => {
  it('is OpenAPI 3.1 and open to all', async () => {
    expect(document).toMatchObject({ openapi: '3.1.0', info: { title: 'agent-system', version: expect.any(String) } });
    const locked = await anApi({ access: { apiKey: 'k'.repeat(32), metricsToken: null } });
    expect((await call(locked, 'GET', '/openapi.json')).status).toBe(200);
    await locked.api.close();
  });

  it('describes every route that this process serves', () => {
    expect(operations.length).toBeGreaterThan(30);
    expect(operations.filter(([, { tags }]) => tags.includes('undescribed')).map(([name]) => name)).toEqual([]);
  });

  it('has no entry of the table for a route that is not served, save those of schedules', () => {
    const served = new Set(operations.map(([name]) => name));
    const described = Object.keys(DOCS).map((name) => name.replaceAll(/:(\w+)/g, '{$1}'));
    expect(described.filter((name) => !served.has(name) && !name.includes('/v1/schedules'))).toEqual([]);
  });

  it('names every operation once, with a summary, its parameters, its answers and who may call it', () => {
    const ids = operations.map(([, { operationId }]) => operationId);
    expect(new Set(ids).size).toBe(ids.length);
    for (const [name, operation] of operations) {
      expect(operation.summary, name).toMatch(/\w{3}/);
      const inPath = [...name.matchAll(/\{(\w+)\}/g)].map(([, parameter]) => parameter);
      const described = (operation.parameters ?? []).filter((one) => one.in === 'path');
      expect(
        described.map((one) => one.name),
        name,
      ).toEqual(inPath);
      expect(
        Object.keys(operation.responses).some((status) => status.startsWith('2')),
        name,
      ).toBe(true);
      for (const [status, { description, content }] of Object.entries(operation.responses)) {
        expect(description, `${name} ${status}`).toMatch(/\w/);
        if (Number(status) >= 400 && !/health|ready/.test(name)) {
          expect(content, `${name} ${status}`).toEqual({
            'application/json': { schema: { $ref: '#/components/schemas/Error' } },
          });
        }
      }
      expect(operation.security, name).toBeInstanceOf(Array);
      for (const scheme of operation.security.flatMap((one) => Object.keys(one))) {
        expect(Object.keys(document.components.securitySchemes)).toContain(scheme);
      }
    }
    const open = operations.filter(([, { security }]) => security.length === 0).map(([name]) => name);
    expect(open.sort()).toEqual(['GET /health', 'GET /openapi.json', 'GET /ready']);
  });

  it('refers to nothing that it does not hold', () => {
    const refs = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(([, ref]) => ref!);
    expect(refs.length).toBeGreaterThan(50);
    for (const ref of new Set(refs)) {
      const place = ref.slice('#/'.length).split('/');
      expect(
        place.reduce((at, name) => at?.[name], document),
        ref,
      ).toBeTypeOf('object');
    }
  });

  it('shows examples that its own schemas take', () => {
    const withExample = Object.entries(DOCS).filter(([, { example }]) => example !== undefined);
    expect(withExample.length).toBeGreaterThan(8);
    for (const [name, { body, example }] of withExample)
      expect(body!.safeParse(example), name).toMatchObject({ success: true });
    const submit = operations.find(([name]) => name === 'POST /v1/tasks')![1];
    expect(submit.requestBody!.content['application/json']!.example).toEqual(DOCS['POST /v1/tasks']!.example);
  });

  it('describes answers as they are', async () => {
    const body = { agent: 'echo', input: { text: 'hi' }, labels: { a: 'b' }, timeoutMs: 5 };
    const { body: task } = await call(api, 'POST', '/v1/tasks', { body });
    await failFor(api.store, task.id);
    const instance = {
      id: 'c1',
      role: 'coordinator',
      host: 'h',
      pid: 1,
      version: '1',
      url: null,
      agents: [],
      metadata: {},
    };
    await api.store.register({ instance: { ...instance, facts: {} }, nonce: 'n', ttlMs: 1_000 });
    const paths: [string, z.ZodType][] = [
      [`/v1/tasks/${task.id}`, answers.task],
      ['/v1/tasks', answers.taskPage],
      [`/v1/tasks/${task.id}/history`, answers.history],
      [`/v1/tasks/${task.id}/why`, answers.why],
      [`/v1/history?correlationId=${task.correlationId}`, answers.correlated],
      ['/v1/deadletters', answers.deadletterPage],
      ['/v1/agents', answers.agents],
      ['/v1/agents/echo', answers.agent],
      ['/v1/tools', answers.tools],
      ['/v1/queues', answers.queues],
      ['/v1/queues/echo', answers.queue],
      ['/v1/workers', answers.workers],
      ['/v1/instances', answers.instances],
      ['/v1/cluster', answers.cluster],
      ['/health', answers.health],
      ['/ready', answers.readiness],
      ['/status', answers.status],
      ['/v1/tasks/x', answers.errorAnswer],
    ];
    for (const [path, schema] of paths) {
      const answer = await call(api, 'GET', path);
      expect(schema.safeParse(answer.body).error?.issues, path).toBeUndefined();
    }
  });
});
