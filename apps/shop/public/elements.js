/**
 * What the parts of the page are made of: elements whose text never becomes markup, and a server's name in
 * its colour.
 */

/** @param {string} id @returns {HTMLElement} */
export const $ = (id) => document.getElementById(id);

/** An element with text or elements inside. @param {string} tag @param {string} className */
export function make(tag, className, ...children) {
  const element = document.createElement(tag);
  element.className = className;
  element.append(...children);
  return element;
}

/** In the order in which they were first heard of, which decides on their colours. @type {string[]} */
export const servers = [];

/** Gives the element the colour of a server. @param {HTMLElement} element @param {string} server */
export function paint(element, server) {
  if (!servers.includes(server)) servers.push(server);
  element.style.setProperty('--hue', `${(155 + 105 * servers.indexOf(server)) % 360}`);
  return element;
}

/** @param {string} server */
export const serverTag = (server) => paint(make('span', 'server', server), server);

export const money = new Intl.NumberFormat('en', { style: 'currency', currency: 'EUR' });
