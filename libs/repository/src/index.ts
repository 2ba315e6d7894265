/** The repository: its port and its adapters. */
export { LevelRepository } from './level/repository.js';
export { levelDefaults, type LevelRepositorySettings } from './level/settings.js';
export { checkEveryMsLimits } from './level/stamp.js';
export { MemoryRepository } from './memory/repository.js';
export {
  postgresDefaults,
  PostgresRepository,
  type PostgresRepositorySettings,
} from './postgres/repository.js';
export { schemaName } from './postgres/schema.js';
export {
  DeploymentMismatchError,
  EpochLostError,
  InUseError,
  OtherDeploymentError,
  RepositoryError,
  type Apply,
  type Claim,
  type Deployment,
  type DueSession,
  type RecordedDeployment,
  type RepositoryEvents,
  type SessionRepository,
  type SessionWrite,
  type StoredSession,
} from './repository.js';
