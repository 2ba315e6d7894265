/** Time goes on, by steps: between two of them everything happens at once. */
import { expire } from './broker-queues.js';
import type { Deployment, State } from './deployment.js';

/** Timers that are due may fire from now on, each at its own moment. */
export function passTime(deployment: Deployment, state: State, ms: number): State {
  const time = state.time + ms;
  const queues = expire(state.queues.value, time);
  return {
    ...state,
    time,
    queues: queues === state.queues.value ? state.queues : deployment.part(queues),
    isStoreDue: state.store.value.isDue(time),
    slots: state.slots.map((slot) => ({ ...slot, isDue: slot.server.value.machine.busy })),
  };
}
