/**
 * Draws what is known of the session's lock: who has it, how many requests needed no message, and the way of
 * the lock through the lanes of the servers. Drawn at most once a frame, however many answers arrive.
 */
import { $, make, paint, servers, serverTag } from './elements.js';

/** Grants that are drawn; earlier ones are only counted. */
const shownGrants = 120;
/** In rem, as in style.css: the height of a lane, and the gap between two grants. */
const laneRem = 2.5;
const gapRem = 1.25;

/** @param {import('./lock-history.js').LockHistory} history @returns {() => void} draws soon */
export function lockView(history) {
  let due = false;
  return () => {
    if (due) return;
    due = true;
    requestAnimationFrame(() => {
      due = false;
      draw(history);
    });
  };
}

/** @param {import('./lock-history.js').LockHistory} history */
function draw(history) {
  const { current, holder, requests, quiet, moves, chapters } = history;
  say('holder', holder ? holder.server : 'Nobody', holder ? serverTag(holder.server) : 'Nobody');
  say('holder-note', holder ? 'holds it, by the last answers' : 'holds it: you have no session');
  say('session', current ? current.session : 'none');
  say('quiet', String(quiet));
  say('requests', String(requests));
  say('moves', String(moves));

  const grants = chapters.flatMap(({ grants }) => grants.map((grant, at) => ({ ...grant, first: at === 0 })));
  const shown = grants.slice(-shownGrants);
  const lanes = servers.toSorted((one, other) => one.localeCompare(other));
  $('lanes').replaceChildren(...lanes.map((server) => lane(server, server === holder?.server)));
  const list = $('grants');
  list.style.setProperty('--lanes', String(lanes.length));
  list.replaceChildren(
    ...shown.map((grant, at) => {
      const rise = at > 0 ? lanes.indexOf(grant.server) - lanes.indexOf(shown[at - 1].server) : 0;
      return pill(grant, at, lanes.indexOf(grant.server), at > 0 && !grant.first ? rise : undefined, holder);
    }),
  );
  const scroller = $('lanes-scroll');
  scroller.scrollLeft = scroller.scrollWidth;
}

/** Changes an element only when it says something new, so that nothing is read out twice. */
function say(id, text, content = text) {
  if ($(id).textContent !== text) $(id).replaceChildren(content);
}

function lane(server, holds) {
  const item = make('li', holds ? 'holds' : '', serverTag(server));
  if (holds) item.append(make('span', 'hidden', ' holds the session'));
  return item;
}

/** `rise`: how many lanes the lock went down from the grant before; undefined for a session's first one. */
function pill({ server, token, requests, quiet, first }, at, row, rise, holder) {
  const of = requests === 1 ? '1 request' : `${requests} requests`;
  const said = `${server}, grant ${token}: ${of}, ${quiet} without a message`;
  const count = make('span', 'count', String(requests));
  count.setAttribute('aria-hidden', 'true');
  const item = paint(make('li', first ? 'first' : '', count, make('span', 'hidden', said)), server);
  item.title = said;
  item.style.gridArea = `${row + 1} / ${at + 1}`;
  if (server === holder?.server && token === holder.token) item.classList.add('now');
  if (rise !== undefined) item.append(way(rise));
  return item;
}

/** The curve from the pill before to this one. */
function way(rise) {
  const height = Math.abs(rise) * laneRem;
  const [from, to] = rise > 0 ? [0, height] : [height, 0];
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', `0 -0.1 ${gapRem} ${height + 0.2}`);
  svg.setAttribute('aria-hidden', 'true');
  svg.style.width = `${gapRem}rem`;
  svg.style.height = `${height + 0.2}rem`;
  svg.style.top = `calc(50% - ${0.1 + (rise > 0 ? height : 0)}rem)`;
  const path = document.createElementNS(svg.namespaceURI, 'path');
  const middle = gapRem / 2;
  path.setAttribute('d', `M0 ${from} C${middle} ${from} ${middle} ${to} ${gapRem} ${to}`);
  svg.append(path);
  return svg;
}
