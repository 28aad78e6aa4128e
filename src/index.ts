export { AgentSystemError, ConfigurationError, StoreUnavailableError } from './errors.ts';
