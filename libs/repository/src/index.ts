/** The repository: its port and its adapters. */
export { LevelRepository, type LevelRepositorySettings } from './level.repository.js';
export { MemoryRepository } from './memory.repository.js';
export { PostgresRepository, type PostgresRepositorySettings } from './postgres.repository.js';
export { schemaName } from './postgres.schema.js';
export {
  DeploymentMismatchError,
  EpochLostError,
  OccupiedError,
  RepositoryError,
  type Claim,
  type Deployment,
  type DueSession,
  type RecordedDeployment,
  type SessionRepository,
  type SessionWrite,
  type StoredSession,
} from './repository.js';
