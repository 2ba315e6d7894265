/** The repository in PostgreSQL keeps the contract in each of its settings. scripts/test.ts brings the server. */
import { PostgresRepository } from '#repository';
import { repositoryContract } from './repository.contract.js';
import { aSchema, databaseUrl, dropSchema } from './postgres.place.js';

for (const settings of [
  { durability: 'process' },
  { durability: 'disk', connections: 2 },
  { durability: 'process', batchRows: 2 },
] as const)
  repositoryContract(
    `PostgresRepository ${JSON.stringify(settings)}`,
    async () => {
      const schema = aSchema();
      const repository = new PostgresRepository({ url: databaseUrl, schema, ...settings });
      await repository.open();
      return {
        repository,
        async reopen() {
          await repository.close();
          await repository.open();
          return repository;
        },
        async dispose() {
          await repository.close();
          await dropSchema(schema);
        },
      };
    },
    { runs: 10 },
  );
