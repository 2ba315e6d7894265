/** The repository: its port and its adapters. */
export {
  DeploymentMismatchError,
  EpochLostError,
  RepositoryError,
  type Claim,
  type Deployment,
  type SessionRepository,
  type SessionWrite,
  type StoredSession,
} from './repository.js';
