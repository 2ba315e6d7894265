/**
 * What `locked-session audit` loads into each Node process of an application, before the application's own
 * code. It hands over the counts when the process ends, in order or by a signal.
 */
import { lostUpdateMeter, mergeReports, type LostUpdateMeter, type MeteredStore } from '#meter';
import { auditVariable, handOver, handOverFile, type AuditOrder } from './audit/hand-over.js';
import { meterSessionPackages } from './audit/session-packages.js';

const order = process.env[auditVariable];
if (order !== undefined) audit(JSON.parse(order) as AuditOrder);

function audit(order: AuditOrder): void {
  const meters = new Map<MeteredStore, LostUpdateMeter<MeteredStore>>();
  const refused = new Set<string>();
  meterSessionPackages((store) => {
    if (meters.has(store)) return; // one store of several applications
    try {
      meters.set(store, lostUpdateMeter(store, { maxRoutes: order.maxRoutes }));
    } catch (error) {
      refused.add((error as Error).message);
    }
  });
  const file = handOverFile(order);
  const end = () => {
    if (meters.size + refused.size === 0) return;
    const reports = [...meters.values()].map((meter) => meter.report());
    const report = mergeReports(reports, { maxRoutes: order.maxRoutes, maxKeys: order.maxRoutes });
    try {
      handOver(file, { report, stores: meters.size, refused: [...refused] });
    } catch {
      // The application ends as it would have ended.
    }
  };
  process.on('exit', end);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) handOverAt(signal, end);
}

/** Nobody else may listen: then the signal ends the process, as it would have done without the audit. */
function handOverAt(signal: NodeJS.Signals, end: () => void): void {
  const listener = () => {
    end();
    if (process.listenerCount(signal) > 1) return;
    process.off(signal, listener);
    process.kill(process.pid, signal);
  };
  process.on(signal, listener);
}
