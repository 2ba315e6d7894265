/** The holder's machine: which locks it trusts, and why. */
import { beforeEach, describe, expect, it } from 'vitest';
import { AppServer, committed, confirmed, recall, renewed } from '../testing/app-server.js';
import { intoFrames } from '../wire/frames.js';
import { limits } from '../wire/limits.js';
import type { Token } from '../wire/order.js';
import { testParameters } from '../testing/pair.js';
import { asText } from '../testing/message-text.js';

let app: AppServer;
beforeEach(() => {
  app = new AppServer();
});

describe('locks that the store took away', () => {
  it('rule 11: a lock that was taken away is lost and goes back when its changes are answered', () => {
    const grant = app.hold();
    app.commit(grant, { cart: '1' });
    expect(app.machine.isTrusted(grant, app.now)).toBe(true);
    app.hear({ kind: 'revoked', session: 's', token: [1, 1], why: 'recall-timeout' });
    expect(app.machine.isTrusted(grant, app.now)).toBe(false);
    app.machine.connected(app.now);
    void app.messages; // a renewal. The answer names the lock as valid
    expect(app.machine.isTrusted(grant, app.now)).toBe(false);
    expect(app.hear(committed([1, 1], 1))).toEqual(['acknowledged s 1.1 through 1', 'lost s 1.1 ended']);
    expect(app.says).toEqual(['release s 1.1 seq 0']);
  });

  it('rule 9: a list of revoked locks that is full may lack some, so the others are reclaimed before use', () => {
    const grant = app.hold();
    const full = Array.from({ length: limits.listed }, (_, i): [string, Token] => [`gone${i}`, [1, 9]]);
    app.machine.connected(app.now);
    void app.messages;
    expect(app.machine.isTrusted(grant, app.now)).toBe(true);
    app.hear({ ...renewed(), n: 99, revoked: full.slice(1) });
    expect(app.machine.isTrusted(grant, app.now)).toBe(true);
    app.hear({ ...renewed(), n: 99, revoked: full });
    expect(app.machine.isTrusted(grant, app.now)).toBe(false);
    app.wait(testParameters.repeatMs);
    expect(app.machine.isTrusted(grant, app.now)).toBe(true);
  });
});

describe('lone waiters after a reconnect', () => {
  const renews = () => app.messages.filter((message) => message.kind === 'renew');
  /** A wait of another session begins and ends: a cancel and a bare renewal. */
  const brief = (id: string) => {
    app.machine.want(id, app.time + 10_000, undefined, app.now);
    app.machine.giveUp(id);
  };

  it('locks in doubt are reclaimed in time, although a wait ends every 0.9 s in that partition', () => {
    app.hold();
    app.leased = false;
    app.machine.connected(app.now);
    expect(renews()).toMatchObject([{ reclaim: [['s', [1, 1], 0]] }]); // and is lost
    let reclaims = 0;
    for (let i = 0; i < 10; i++) {
      app.time += 900;
      brief(`b${i}`);
      app.machine.tick(app.now);
      reclaims += renews().filter(({ reclaim }) => reclaim).length;
    }
    expect(reclaims).toBeGreaterThanOrEqual(4);
  });

  it('17 waits that end within one round trip do not hide the answer to a reclaim', () => {
    const grant = app.hold();
    app.leased = false;
    app.machine.connected(app.now);
    const [reclaim] = renews();
    for (let i = 0; i < 17; i++) brief(`b${i}`);
    app.hear({ ...renewed(), n: reclaim!.n, valid: confirmed(reclaim!) });
    expect(app.machine.isTrusted(grant, app.now)).toBe(true);
  });

  it('a cancel that was lost is repeated, although the renewal of a later one is answered', () => {
    app.hold();
    app.leased = false;
    void app.messages;
    brief('lost');
    expect(app.messages.map(asText)).toContain('cancel lost #2');
    brief('heard');
    const { n } = renews()[0]!;
    app.hear({ ...renewed(), n });
    expect(app.wait(testParameters.renewMs)).toEqual(['cancel lost #2']);
    const full = n + 1;
    app.hear({ ...renewed(), n: full });
    expect(app.wait(testParameters.renewMs)).toEqual([]);
  });

  it('an empty release is in the frame of a renewal, although an acquire follows in the same turn', () => {
    app.hold();
    void app.messages;
    const astray = { ...recall([1, 7]), session: 't' };
    app.machine.receive({ partition: 0, epoch: 1, messages: [astray] }, app.now, () =>
      app.machine.want('t', app.time + 1_000, undefined, app.now),
    );
    const frames = intoFrames([{ partition: 0, epoch: 1, messages: app.messages }]).map((frame) =>
      frame.flatMap(({ messages }) => messages.map(({ kind }) => kind)),
    );
    expect(frames).toEqual([['release', 'renew'], ['acquire']]);
  });
});
