/**
 * The child's half of processes.ts, preloaded into every child by `--import`: when the parent is gone, by
 * whatever way, the channel to it closes and the child goes at once. SIGKILL, because nobody is left who
 * could see to it that an orderly end comes to its end. JavaScript and not TypeScript, so that it runs in
 * place, built or not.
 */
process.once('disconnect', () => process.kill(process.pid, 'SIGKILL'));
process.channel?.unref(); // watching must not keep alive a child that is done
if (!process.connected) process.kill(process.pid, 'SIGKILL'); // it was gone before we watched
