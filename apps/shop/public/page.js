/**
 * What the page does: sends what the visitor wants to whichever server the gateway picks, and shows the
 * answers. What it tells of the session's lock comes from their headers alone (see answer-headers.ts), put in
 * order by lock-history.js.
 */
import { $, make, money, servers, serverTag } from './elements.js';
import { LockHistory } from './lock-history.js';
import { lockView } from './lock-view.js';

const teas = [
  ['Darjeeling, first flush', 4.2],
  ['Sencha', 3.6],
  ['Rooibos', 2.9],
  ['Earl Grey', 3.1],
  ['Ginger biscuits', 2.5],
];
const counters = ['scopes', 'servedFromHeldLock', 'servedWithoutMessage', 'grants', 'recalls', 'held'];
const costs = { none: 'no message', change: 'a change', grant: 'asked for the lock' };
const shownAnswers = 60;
const burstSize = 50;
const statsEveryMs = 2_000;

const history = new LockHistory();
const showLock = lockView(history);

// Requests. -------------------------------------------------------------------------------------------------

/** By this header the gateway sends all of our requests to the same server, when the visitor wants that. */
const affinity = { 'x-affinity': crypto.randomUUID() };

/**
 * Sends a request; resolves with the answer's value, server and session, rejects when it is not a success.
 */
async function send(method, path, body) {
  const sameServer = document.querySelector('[name=way]:checked').value === 'affinity';
  const sentAt = performance.now();
  const response = await fetch(path, {
    method,
    headers: { ...(body && { 'content-type': 'application/json' }), ...(sameServer && affinity) },
    ...(body && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  const said = (name) => response.headers.get(name);
  const server = said('x-served-by') ?? 'gateway';
  const cost = said('x-lock-cost');
  const session = said('x-session');
  history.note({ server, cost, session, token: said('x-lock-token') });
  showAnswer(`${method} ${path}`, server, cost, response, performance.now() - sentAt);
  if (!response.ok) throw new Error(reason(text) ?? `${response.status} ${response.statusText}`);
  return { value: text && JSON.parse(text), server, session };
}

/** What a refusal says; undefined when it is not one of ours. */
function reason(text) {
  try {
    return [JSON.parse(text).message].flat().join('; ');
  } catch {
    return undefined;
  }
}

function showAnswer(request, server, cost, { status, ok }, ms) {
  const row = make(
    'tr',
    '',
    make('td', '', request),
    make('td', '', serverTag(server)),
    make('td', cost === 'none' ? 'good' : '', costs[cost] ?? '–'),
    make('td', ok ? 'number' : 'number bad', String(status)),
    make('td', 'number', ms.toFixed(1)),
  );
  $('answers').prepend(row);
  while ($('answers').rows.length > shownAnswers) $('answers').lastElementChild.remove();
  showLock();
}

/** Does `act` when the event happens, and not again until it is done. A button keeps the focus meanwhile. */
function on(target, event, act) {
  target.addEventListener(event, async (happened) => {
    happened.preventDefault();
    const button = happened.submitter ?? target;
    if (button.ariaDisabled === 'true') return;
    button.ariaDisabled = 'true';
    await attempt(act);
    button.ariaDisabled = 'false';
  });
}

async function attempt(act) {
  $('trouble').hidden = true;
  try {
    await act();
  } catch (error) {
    $('trouble').textContent = `That did not work: ${error.message}`;
    $('trouble').hidden = false;
  }
}

// Cart. -----------------------------------------------------------------------------------------------------

async function showCart() {
  const { value: cart } = await send('GET', '/cart');
  const sum = cart.items.reduce((total, item) => total + item.price, 0);
  const count = cart.items.length === 1 ? '1 item' : `${cart.items.length} items`;
  $('cart-sum').textContent = cart.items.length > 0 ? `${count}, ${money.format(sum)}` : 'Nothing in it yet';
  const rows = cart.items.map(({ name, price }) =>
    make('li', '', name, make('span', '', money.format(price))),
  );
  $('cart').replaceChildren(...rows.toReversed());
  return cart;
}

for (const [name, price] of teas) {
  const button = make('button', '', 'Add');
  button.setAttribute('aria-label', `Add ${name} to the cart`);
  on(button, 'click', async () => {
    await send('POST', '/cart/items', { name, price });
    await showCart();
  });
  const label = make('span', '', name, ' ', make('span', 'quiet', money.format(price)));
  $('shelf').append(make('li', '', label, button));
}

on($('empty'), 'click', async () => {
  await send('DELETE', '/cart');
  await showCart();
});

// All at once. ----------------------------------------------------------------------------------------------

/** Sends so many requests together; resolves with how many each server answered, and how long it took. */
async function burst(request) {
  await ensureSession();
  const progress = $('burst-progress');
  progress.value = 0;
  $('holder').setAttribute('aria-busy', 'true');
  const perServer = {};
  const quietBefore = history.quiet;
  const sentAt = performance.now();
  const requests = Array.from({ length: burstSize }, async (_, index) => {
    const { server } = await request(index).catch(() => ({ server: 'failed' }));
    perServer[server] = (perServer[server] ?? 0) + 1;
    progress.value++;
  });
  await Promise.all(requests);
  $('holder').setAttribute('aria-busy', 'false');
  return { perServer, quiet: history.quiet - quietBefore, ms: performance.now() - sentAt };
}

function showBurst(good, said, perServer, ms) {
  const shares = Object.entries(perServer).toSorted(([one], [other]) => one.localeCompare(other));
  $('burst-result').className = good ? 'good' : 'bad';
  $('burst-result').replaceChildren(
    make('strong', '', said),
    ` after ${ms.toFixed(0)} ms.`,
    ...shares.map(([name, count]) => make('span', 'share', serverTag(name), ` ${count}`)),
  );
}

on($('add-many'), 'click', async () => {
  const ids = Array.from({ length: burstSize }, () => crypto.randomUUID());
  const { perServer, ms } = await burst((index) =>
    send('POST', '/cart/items', { id: ids[index], name: `Cup ${index + 1} of ${burstSize}`, price: 2.5 }),
  );
  const { items } = await showCart();
  const arrived = ids.filter((id) => items.filter((item) => item.id === id).length === 1).length;
  showBurst(arrived === burstSize, `${arrived} of ${burstSize} are in the cart`, perServer, ms);
  await showStats();
});

on($('read-many'), 'click', async () => {
  const { perServer, quiet, ms } = await burst(() => send('GET', '/cart'));
  const good = perServer.failed === undefined;
  showBurst(good, `${quiet} of ${burstSize} needed no message`, perServer, ms);
  await showStats();
});

// Visitor. --------------------------------------------------------------------------------------------------

/**
 * Sets something, so that a new visitor has a session: one, where many requests at once would each make their
 * own.
 */
async function visit() {
  const { value } = await send('GET', '/visits');
  $('visits').textContent = value.visits === 1 ? 'Your first visit' : `Your visit no. ${value.visits}`;
}

/** The session may have ended elsewhere, by a logout in another window. */
async function ensureSession() {
  const { session } = await send('GET', '/user');
  if (session === null) await visit();
}

async function showUser() {
  const { value } = await send('GET', '/user');
  greet(value.user);
}

function greet(user) {
  $('login').hidden = user !== null;
  $('logout').hidden = user === null;
  $('user').textContent = user?.name ?? '';
}

on($('login'), 'submit', async () => {
  const { value } = await send('POST', '/login', { name: $('name').value });
  greet(value.user);
  $('logout').querySelector('button').focus();
});

on($('logout'), 'submit', async () => {
  await send('POST', '/logout');
  history.end();
  greet(null);
  $('name').focus();
  await visit(); // another visitor now
  await showCart();
});

// Figures. --------------------------------------------------------------------------------------------------

const figures = new Map();

/**
 * Each answer is one server's, and the gateway picks which: asks as often as there are servers, and keeps the
 * latest of each.
 */
async function showStats() {
  const asked = Array.from({ length: Math.max(3, servers.length) }, async () =>
    (await fetch('/stats')).json(),
  );
  for (const { server, counters } of await Promise.all(asked)) figures.set(server, counters);
  const rows = [...figures].toSorted(([one], [other]) => one.localeCompare(other));
  $('servers').replaceChildren(...rows.map(([server, counted]) => statsRow(server, counted)));
}

function statsRow(server, counted) {
  const cells = counters.map((name) => make('td', 'number', (counted[name] ?? 0).toLocaleString('en')));
  return make('tr', '', make('td', '', serverTag(server)), ...cells);
}

setInterval(() => document.hidden || showStats().catch(() => undefined), statsEveryMs);

// The first request alone: its answer brings the cookie by which all others are of one session.
await attempt(async () => {
  await visit();
  await Promise.all([showUser(), showCart(), showStats()]);
});
document.querySelector('main').ariaBusy = 'false';
