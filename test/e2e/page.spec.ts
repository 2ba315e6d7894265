/**
 * The shop's page in a real browser, by keyboard and by eye: three servers behind the gateway.
 * test-artifacts/ keeps the screenshots.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { chromium, type Browser, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { chromiumFlags, findChromium } from '../../scripts/services/chromium.js';
import { startGateway, type Gateway } from '../../scripts/demo/gateway.js';
import { root } from '../../scripts/processes/processes.js';
import { Deployment, type Counters } from './deployment.js';

const artifacts = join(root, 'test-artifacts');
const deployment = await Deployment.create();
const servers = ['shop-1', 'shop-2', 'shop-3'];
let urls: string[];
let gateway: Gateway;
let browser: Browser;
let page: Page;
let complaints: string[];

// This may take long: a browser may have to be installed.
beforeAll(async () => {
  await mkdir(artifacts, { recursive: true });
  browser = await chromium.launch({ executablePath: await findChromium(console), args: chromiumFlags });
  await deployment.store();
  urls = await Promise.all(servers.map((name) => deployment.shop(name)));
  gateway = await startGateway(urls);
}, 600_000);
afterAll(async () => {
  await browser?.close();
  await gateway?.close();
  await deployment.stop();
});

beforeEach(async () => {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, colorScheme: 'light' });
  page = await context.newPage();
  complaints = [];
  page.on('console', (line) => {
    if (['error', 'warning'].includes(line.type())) complaints.push(line.text());
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('requestfailed', (request) => {
    const { errorText } = request.failure()!;
    // Leaving the page aborts its periodic request for figures.
    if (errorText !== 'net::ERR_ABORTED') complaints.push(`${request.url()}: ${errorText}`);
  });
  page.on('response', (response) => {
    if (response.status() >= 400) complaints.push(`${response.url()}: ${response.status()}`);
  });
});
afterEach(async () => {
  expect(complaints).toEqual([]);
  await page.context().close();
});

it('fifty additions at once by keyboard are all in the cart, from all servers, and the page counts like them', async () => {
  const before = await counted();
  await open();
  await tabTo('#add-many');
  await page.keyboard.press('Enter');
  await says('#burst-result', '50 of 50 are in the cart');

  expect(await page.locator('#cart li').count()).toBe(50);
  expect(await text('#cart-sum')).toBe('50 items, €125.00');
  expect(await focused()).toBe('add-many');
  const shares = (await page.locator('#burst-result .share').allInnerTexts()).map((share) =>
    share.split(' '),
  );
  expect(shares.map(([name]) => name)).toEqual(servers);
  expect(sum(shares.map(([, count]) => Number(count)))).toBe(50);

  // The page's counts from the answers equal the servers' counts.
  const { scopes, servedWithoutMessage, grants } = difference(await counted(), before);
  expect(await figures()).toEqual({ requests: scopes, quiet: servedWithoutMessage });
  const drawn = await page.locator('#grants li').allInnerTexts();
  expect(drawn.length).toBe(grants);
  expect(sum(drawn.map((grant) => Number(grant.split('\n')[0])))).toBe(scopes);
  const moves = Number(await text('#moves'));
  expect(moves).toBeGreaterThanOrEqual(2);
  expect(moves).toBeLessThan(grants!);
  const holder = await text('#holder');
  expect(servers).toContain(holder);
  expect(await text('#lanes .holds')).toBe(`${holder} holds the session`);
  const total = sum((await counted()).map(({ scopes }) => scopes!));
  await page.waitForFunction(`[...document.querySelectorAll('#servers td:nth-child(2)')]
    .reduce((sum, cell) => sum + Number(cell.textContent), 0) === ${total}`);

  await picture('shop');
});

it('reads that stay with one server need no message, and the lock stays there', async () => {
  await open();
  await page.getByLabel('to each server in turn').focus();
  await page.keyboard.press('ArrowDown');
  const before = await counted();
  await page.getByRole('button', { name: '50 reads at once' }).press('Enter');
  await says('#burst-result', '50 of 50 needed no message');

  expect(await page.locator('#burst-result .share').allInnerTexts()).toEqual([
    expect.stringMatching(/^shop-\d 50$/),
  ]);
  expect(await text('#burst-result')).toContain(await text('#holder'));
  const { servedWithoutMessage, grants } = difference(await counted(), before);
  expect([servedWithoutMessage! >= 50, grants! <= 1]).toEqual([true, true]);

  await page.emulateMedia({ colorScheme: 'dark' });
  await picture('shop-dark');
});

it('a login by keyboard keeps the cart under another id, and a logout leaves nothing', async () => {
  await open();
  await tabTo('button[aria-label="Add Sencha to the cart"]');
  await page.keyboard.press('Space');
  await says('#cart-sum', '1 item, €3.60');
  const [id, shown] = [await cookieId(), await text('#session')];

  await page.getByLabel('Your name').fill('<b>Ada</b>');
  await page.keyboard.press('Enter');
  await says('#user', '<b>Ada</b>');
  expect(await page.locator('#logout :focus').innerText()).toBe('Log out');
  await page.waitForFunction(`document.querySelector('#session').textContent !== '${shown}'`);
  expect(await cookieId()).not.toBe(id);
  await page.reload();
  await says('#cart-sum', '1 item, €3.60');
  await says('#visits', 'Your visit no. 2');
  await says('#user', '<b>Ada</b>');

  const member = await cookieId();
  await page.getByRole('button', { name: 'Log out' }).press('Enter');
  await says('#cart-sum', 'Nothing in it yet');
  await says('#visits', 'Your first visit');
  expect(await page.locator('#cart li').count()).toBe(0);
  expect(await focused()).toBe('name');
  expect([id, member]).not.toContain(await cookieId());
});

it('empties the cart, and shows the refusal of a server', async () => {
  await open();
  await page.getByRole('button', { name: 'Add Rooibos to the cart' }).click();
  await says('#cart-sum', '1 item, €2.90');
  await page.getByRole('button', { name: 'Empty the cart' }).click();
  await says('#cart-sum', 'Nothing in it yet');

  const logged = page.waitForEvent('console');
  await page.getByLabel('Your name').fill('   ');
  await page.keyboard.press('Enter');
  await page.getByRole('alert').filter({ hasText: 'That did not work: name: ' }).waitFor();
  expect((await logged).text()).toContain('400'); // the browser's own line
  expect(complaints.splice(0)).toContain(`${gateway.url}/login: 400`);
});

it('the keyboard reaches all controls in the order of reading, with a visible focus, and leaves the page', async () => {
  await open();
  const stops: string[] = [];
  for (let stop = await tab(); stop !== 'BODY'; stop = await tab()) {
    stops.push(stop);
    expect(await page.evaluate(`getComputedStyle(document.activeElement).outlineStyle`)).toBe('solid');
    expect(stops.length).toBeLessThan(30);
  }
  const teas = ['Darjeeling, first flush', 'Sencha', 'Rooibos', 'Earl Grey', 'Ginger biscuits'];
  expect(stops).toEqual([
    'Your name',
    'Log in',
    ...teas.map((tea) => `Add ${tea} to the cart`),
    'Items in the cart',
    'Empty the cart',
    'to each server in turn',
    '50 additions at once',
    '50 reads at once',
    'Grants of the lock, the latest last',
    'The last answers',
    'What the servers counted, of all visitors',
  ]);
});

it.each(['light', 'dark'] as const)(
  'a narrow screen has one column, and nothing overflows: %s',
  async (colorScheme) => {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width: 360, height: 740 });
    await open();
    await page.getByRole('button', { name: '50 additions at once' }).click();
    await says('#burst-result', '50 of 50 are in the cart');
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(360);
    const sections = await Promise.all(
      (await page.locator('section').all()).map((each) => each.boundingBox()),
    );
    expect(sections.map((box) => box!.width)).toEqual(Array(6).fill(336));
    await picture(`shop-narrow-${colorScheme}`);
  },
);

/** Resolves when the page has loaded all its data. */
async function open(): Promise<void> {
  await page.goto(gateway.url);
  await page.locator('main[aria-busy=false]').waitFor();
  expect(await text('#cart-sum')).toBe('Nothing in it yet');
  for (const server of servers) await page.locator('#servers').getByText(server).waitFor();
}

/** Resolves when the element is visible and has the text. */
const says = (selector: string, said: string): Promise<void> =>
  page.locator(selector).filter({ hasText: said, visible: true }).waitFor();

const text = (selector: string): Promise<string> => page.locator(selector).textContent() as Promise<string>;

/** Presses the Tab key, and returns the accessible name of the focused element. */
async function tab(): Promise<string> {
  await page.keyboard.press('Tab');
  return page.evaluate(`(() => {
    const element = document.activeElement;
    const labelledBy = document.getElementById(element.getAttribute('aria-labelledby'));
    if (element === document.body) return 'BODY';
    return (element.ariaLabel ?? labelledBy?.textContent ?? element.labels?.[0]?.textContent ?? '').trim()
      || element.textContent.trim();
  })()`);
}

async function tabTo(selector: string): Promise<void> {
  const target = page.locator(`${selector}:focus`);
  while ((await target.count()) === 0) expect(await tab()).not.toBe('BODY');
}

const focused = (): Promise<string> => page.evaluate('document.activeElement.id');

/** The cookie with the signed id, which scripts cannot see. */
async function cookieId(): Promise<string> {
  expect(await page.evaluate('document.cookie')).toBe('');
  const cookies = await page.context().cookies();
  expect(cookies.map(({ name }) => name)).toEqual(['locked-session']);
  return cookies[0]!.value;
}

async function figures(): Promise<Record<string, number>> {
  return { requests: Number(await text('#requests')), quiet: Number(await text('#quiet')) };
}

/** The counters of each server. */
const counted = (): Promise<Counters[]> =>
  Promise.all(
    urls.map(async (url) => {
      const { counters } = (await (await fetch(`${url}/stats`)).json()) as { counters: Counters };
      return counters;
    }),
  );

/** The growth of the counters, summed over all servers. */
function difference(now: Counters[], before: Counters[]): Counters {
  const total = (counters: Counters[], name: string) => sum(counters.map((of) => of[name]!));
  return Object.fromEntries(
    Object.keys(now[0]!).map((name) => [name, total(now, name) - total(before, name)]),
  );
}

const sum = (numbers: number[]) => numbers.reduce((sum, number) => sum + number, 0);

const picture = (name: string): Promise<Buffer> =>
  page.screenshot({ path: join(artifacts, `${name}.png`), fullPage: true, animations: 'disabled' });
