/**
 * What the shop keeps in a session. Declared once, here: `get`, `set` and the decorators then know the
 * attributes' names and types everywhere. Each attribute has a lock of its own, so a login never waits for
 * the cart.
 */
export interface Item {
  readonly id: string;
  readonly name: string;
  readonly price: number;
}

export interface Cart {
  items: Item[];
}

export interface User {
  readonly name: string;
}

declare module '#locked-session' {
  interface SessionAttributes {
    cart: Cart;
    user: User;
    visits: number;
  }
}
