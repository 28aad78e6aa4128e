export type { AgentContext, AgentLog } from './agent/context.ts';
export { type Agent, type AgentInput, type AgentOutput, defineAgent } from './agent/define-agent.ts';
export { RetryAfter, TerminalError } from './agent/errors.ts';
export { type HttpAgentOptions, httpAgent } from './agent/http/http-agent.ts';
export type {
  Client,
  Events,
  EventsOptions,
  HeardEvent,
  ManyTasks,
  ResultOptions,
  TaskFilter,
  TaskHandle,
} from './client/client.ts';
export { TaskCancelledError, TaskFailedError, UnreachableError, WaitTimeoutError } from './client/errors.ts';
export { createClient, type HttpClientOptions } from './client/http-client.ts';
export type { DeadLetters, Schedules, StepDownOptions } from './client/operations.ts';
export type { SubmitOptions } from './client/submit-options.ts';
export type { ClientTls } from './client/tls-fetch.ts';
export { createSystem, type System, type SystemOptions, type SystemState } from './create-system.ts';
export { AgentSystemError, ConfigurationError, StoreUnavailableError } from './errors.ts';
export type { BulkResult } from './service/bulk-service.ts';
export type { EventFilter, EventType, EventView } from './service/event-service.ts';
export type { ClusterView } from './service/fleet-service.ts';
export type { ScheduleInput } from './service/schedule-request.ts';
export type { ScheduleView } from './service/schedule-service.ts';
export type { WhyView } from './service/why-service.ts';
export type { TaskState } from './task/task.ts';
export type { TaskView } from './task/view.ts';
