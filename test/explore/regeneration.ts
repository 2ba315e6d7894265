/**
 * A session gets another id, step by step as rule 17 has it: make the new one, have it acknowledged, destroy
 * the old one, have that acknowledged, answer. If the old one cannot be destroyed, the new one is.
 */
import type { RefusalReason, SessionRecord } from '#protocol';
import type { Diary } from './marks.js';

/** What a regeneration needs of its app server. */
interface Server {
  regeneration: Regeneration | undefined;
  seat(session: string): { readonly grant: object | undefined; readonly scope: string | undefined };
  leave(session: string, ending: 'reading' | 'destroying', diary: Diary): void;
}

export interface Regeneration {
  readonly from: string;
  readonly to: string;
  /** How far it has come, or how it was answered. */
  readonly step: 'making' | 'ending' | 'undoing' | 'done' | 'refused' | 'unknown';
}

/** What was heard of one of its sessions. */
type News = 'made' | 'not made' | 'destroyed' | RefusalReason;

/** What follows from the news of a session. */
export function goOn(server: Server, session: string, news: News, diary: Diary): void {
  const { regeneration } = server;
  if (!regeneration) return;
  const { from, to, step } = regeneration;
  const move = (next: Regeneration['step']) => (server.regeneration = { from, to, step: next });
  const undo = () => {
    move(server.seat(to).grant ? 'undoing' : 'unknown');
    if (server.seat(to).grant) server.leave(to, 'destroying', diary);
  };
  if (session === to && step === 'making') {
    if (news !== 'made') return void move(news === 'outcome-unknown' ? 'unknown' : 'refused');
    if (server.seat(from).scope !== 'inside') return undo();
    move('ending');
    return server.leave(from, 'destroying', diary);
  }
  if (session === from && step === 'ending') {
    if (news !== 'destroyed') return news === 'ended' ? undo() : void move('unknown');
    move('done');
    if (server.seat(to).scope === 'inside') server.leave(to, 'reading', diary);
  }
  if (session === to && step === 'undoing') move(news === 'destroyed' ? 'refused' : 'unknown');
}

/** Never both, never neither: what is wrong with what is stored, after such an answer. */
export function wrongAfter(
  { from, to, step }: Regeneration,
  records: ReadonlyMap<string, SessionRecord>,
): string | undefined {
  const isAlive = (session: string) => records.get(session)?.destroyed === undefined && records.has(session);
  if (step === 'done' && isAlive(from)) return `${from} has become ${to}, and is still there`;
  if (step === 'done' && !isAlive(to)) return `${from} has become ${to}, which is not there`;
  if (step === 'refused' && isAlive(to)) return `${from} has not become ${to}, which is there all the same`;
  if (step !== 'done' && !isAlive(from) && !isAlive(to)) return `neither ${from} nor ${to} is there`;
  return undefined;
}
