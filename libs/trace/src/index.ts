/** Traces of what really happened: how they are written, and how they are checked. */
export { findingKinds, type Finding, type FindingKind } from './checking/finding.js';
export { verifyDefaults, verifyTraces, type Report, type VerifyOptions } from './checking/verify.js';
export type { WaitFigures } from './checking/waits.js';
export { readTraceFile, TraceError, type Trace } from './reader.js';
export type { HashedValues, ScopeOutcome, TraceFact } from './records.js';
export type { TraceSink } from './sink.js';
export {
  isTraceSecret,
  traceDefaults,
  traceLimits,
  traceSettings,
  type TraceOptions,
  type TraceSettings,
} from './settings.js';
export { openTrace } from './writing/trace-file.js';
