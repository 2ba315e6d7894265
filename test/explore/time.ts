/** Time goes on, by steps: between two of them everything happens at once. */
import type { State } from './deployment.js';

/** Timers that are due may fire from now on, each at its own moment. */
export function passTime(state: State, ms: number): State {
  const time = state.time + ms;
  return {
    ...state,
    time,
    isStoreDue: state.store.value.isDue(time),
    slots: state.slots.map((slot) => ({ ...slot, isDue: slot.server.value.machine.busy })),
  };
}
