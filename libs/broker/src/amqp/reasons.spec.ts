/**
 * What RabbitMQ and Node say, and what an operator is told to do. The texts are those of RabbitMQ 3.10 and
 * Node 20.
 */
import { describe, expect, it } from 'vitest';
import { reasonOf, setUpFault, sizeLimitIn, whatToCheck } from './reasons.js';

const closed = (text: string) =>
  new Error(
    `Operation failed: QueueDeclare; 406 (PRECONDITION-FAILED) with message "PRECONDITION_FAILED - ${text}"`,
  );

describe('reasonOf', () => {
  it('finds words where the message is empty, or full of numbers', () => {
    const refused = Object.assign(new AggregateError([]), { code: 'ECONNREFUSED' });
    expect(reasonOf(refused)).toBe('ECONNREFUSED');
    expect(reasonOf(new Error('why'))).toBe('why');
    const tls =
      '803C:error:0A00010B:SSL routines:ssl3_get_record:wrong version ' +
      'number:../deps/record/ssl3_record.c:350:\n';
    expect(reasonOf(new Error(tls))).toBe('wrong version number');
  });
});

describe('whatToCheck', () => {
  it.each([
    ['403 (ACCESS-REFUSED) with message …', 'password'],
    ['530 (NOT-ALLOWED) with message "vhost /x not found"', 'virtual host'],
    ['Expected ConnectionOpenOk; got <ConnectionClose channel:0>', 'limits on connections'],
    ['wrong version number', 'speaks no TLS'],
    ['Socket closed abruptly during opening handshake', 'needs amqps://'],
    ['Frame size 1345270062 exceeds maxFrameSize 67108864', 'does not speak AMQP'],
    ['tlsv13 alert certificate required', 'certificates'],
    ["ENOENT: no such file or directory, open '/run/secrets/amqp'", 'file'],
    ['getaddrinfo ENOTFOUND rabbit', 'host name'],
    ['connect ECONNREFUSED 127.0.0.1:5672', 'RabbitMQ runs there'],
  ])('of %j: the %s', (reason, remedy) => {
    expect(whatToCheck(reason)).toContain(remedy);
  });
});

describe('setUpFault', () => {
  it.each([
    [
      "inequivalent arg 'x-queue-type' for queue 's.store.0' in vhost '/': received the value 'quorum' " +
        "of type 'longstr' but current is the value 'classic' of type 'longstr'",
      'RabbitMQ has the queue s.store.0 (virtual host /) with x-queue-type classic, but the store needs ' +
        'quorum. ' +
        'Set AMQP_QUEUE_TYPE back to classic; or stop all stores, delete the queues s.store.*, and start ' +
        'the stores again: ' +
        'nothing is lost, since app servers repeat what waits there.',
    ],
    [
      "inequivalent arg 'x-max-length' for queue 's.store.1' in vhost 'v': received the value '5000' of " +
        "type 'signedint' but current is none",
      'RabbitMQ has the queue s.store.1 (virtual host v) with x-max-length none, but the store needs 5000. ' +
        'Stop all stores, delete the queues s.store.*, and start the stores again: ' +
        'nothing is lost, since app servers repeat what waits there.',
    ],
    [
      "inequivalent arg 'durable' for queue 's.store.0' in vhost '/': received 'true' but current is 'false'",
      'RabbitMQ has the queue s.store.0 (virtual host /) with durable false, but the store needs true. ' +
        'Another program has made it: delete it there, or choose another AMQP_PREFIX for store and app ' +
        'servers.',
    ],
    [
      "inequivalent arg 'type' for exchange 's' in vhost '/': received 'direct' but current is 'topic'",
      'RabbitMQ has the exchange s (virtual host /) with type topic, but the store needs direct. ' +
        'Another program has made it: delete it there, or choose another AMQP_PREFIX for store and app ' +
        'servers.',
    ],
    [
      "cannot declare queue 's.store.9': queue limit in vhost '/' (9) is reached",
      "RabbitMQ makes no more queues: queue limit in vhost '/' (9) is reached. Raise that limit " +
        '(rabbitmqctl set_vhost_limits), or delete queues that nobody needs.',
    ],
  ])('names what is there, what is needed and the way out: %j', (text, told) => {
    expect(setUpFault(closed(text), 's', 17)).toBe(told);
  });

  it('names the limit on channels, and the need', () => {
    expect(setUpFault(new Error('No channels left to allocate'), 's', 17)).toContain(
      'Set channel_max to 17 or more',
    );
  });

  it('is nothing that another try may get over', () => {
    expect(setUpFault(new Error("404 NOT_FOUND - no exchange 's'"), 's', 17)).toBeUndefined();
  });
});

it('the size that RabbitMQ takes is read from its refusal, in the words of 3.10 and earlier', () => {
  expect(sizeLimitIn('message size 300001 is larger than configured max size 300000"')).toBe(300_000);
  expect(sizeLimitIn('message size 300001 is larger than max size 300000"')).toBe(300_000);
  expect(sizeLimitIn('queue limit in vhost (1) is reached')).toBeUndefined();
});
