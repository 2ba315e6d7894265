/** The repository: its port and its adapters. */
export { LevelRepository, type LevelRepositorySettings } from './level.repository.js';
export { MemoryRepository } from './memory.repository.js';
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
