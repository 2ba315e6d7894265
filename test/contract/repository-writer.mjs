// A store to be killed or stopped: node repository-writer.mjs <repository module> <class> <settings, as JSON>
// [stand-by]. It claims partition 0 and writes without end, in eight lanes at once. An apply of a lane writes
// its two sessions whole and moves their marks; once it is acknowledged, "<lane> <number>" goes to stdout. An
// error ends the process, with its message on stderr.
const [, , module, name, settings, standBy] = process.argv;
const { [name]: Repository } = await import(module);

try {
  const repository = new Repository(JSON.parse(settings));
  while (!(await opens(repository))) await new Promise((resolve) => setTimeout(resolve, 50));
  const { epoch } = await repository.claim(0, { partitions: 4, hash: 1, leaseMs: 5_000 });
  const lanes = Array.from({ length: 8 }, (_, lane) => lane);
  await Promise.all(lanes.map((lane) => writeFor(repository, epoch, lane)));
} catch (error) {
  console.error(`${error.name}: ${error.message}`);
  process.exit(1); // open connections would keep it alive
}

/** False when another process has it, and this one stands by. */
async function opens(repository) {
  try {
    await repository.open();
    return true;
  } catch (error) {
    if (!standBy || error.name !== 'InUseError') throw error;
    return false;
  }
}

async function writeFor(repository, epoch, lane) {
  const sessions = [`${lane}-left`, `${lane}-right`];
  const [found] = (await repository.load(0, sessions)).values();
  for (let number = found ? Number(Buffer.from(found.head)) + 1 : 1; ; number += 1) {
    const head = Buffer.from(`${number}`);
    const expires = { was: number > 1 ? number - 1 : undefined, is: number };
    // Larger than a block of LevelDB's log, so that a kill may tear a record in two.
    const set = new Map([
      ['small', head],
      ['large', Buffer.alloc(40_000, head)],
    ]);
    await repository.apply(
      0,
      epoch,
      sessions.map((session) => ({ session, head, set, removed: [], expires })),
    );
    process.stdout.write(`${lane} ${number}\n`);
  }
}
