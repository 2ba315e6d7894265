import type { BenchResult } from './result.js';
export function writeTables(_results: readonly BenchResult[]): void {}
