/**
 * What each answer says about the visitor's session, for the page to show: under which grant it was served,
 * and what that took. Facts of this server, told at the moment when it had the lock; nothing here is a guess.
 *
 * x-session      names the session without giving away its id, which is the visitor's secret: a part of its
 * hash x-lock-token   the fencing token of the grant, `epoch.n`: of one session's tokens the greatest is the
 * latest grant's x-lock-cost    `none`: the lock was here and no message was sent · `change`: it was here,
 * and a change was sent to
 *                  the store · `grant`: the lock had to come from the store, or the session was made
 *
 * A visitor of whom nothing is kept has no session yet, or no longer: then there is only the last of the
 * three.
 */
import type { ExecutionContext } from '@nestjs/common';
import type { Response } from 'express';
import { createHash } from 'node:crypto';
import type { Served } from '#locked-session';

export function tellServed(context: ExecutionContext, { session, ...served }: Served): void {
  const response = context.switchToHttp().getResponse<Response>();
  response.setHeader('x-lock-cost', costOf(served));
  if (!session) return;
  response.setHeader('x-session', createHash('sha256').update(session.id).digest('hex').slice(0, 8));
  response.setHeader('x-lock-token', session.token.join('.'));
}

function costOf({ withoutMessage, fromHeldLock }: Omit<Served, 'session'>): 'none' | 'change' | 'grant' {
  if (withoutMessage) return 'none';
  return fromHeldLock ? 'change' : 'grant';
}
