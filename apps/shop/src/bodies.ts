/**
 * The request bodies that the shop accepts, and the pipe that answers 400 with what is wrong to all others.
 */
import { BadRequestException, type PipeTransform } from '@nestjs/common';
import { z } from 'zod';

const text = (longest: number) => z.string().trim().min(1).max(longest);

export const newItem = z.strictObject({
  id: text(64).optional(),
  name: text(100),
  price: z.number().min(0).max(1_000_000),
});
export type NewItem = z.infer<typeof newItem>;

export const login = z.strictObject({ name: text(100) });
export type Login = z.infer<typeof login>;

export class ValidPipe<T> implements PipeTransform<unknown, T> {
  constructor(private readonly schema: z.ZodType<T>) {}

  transform(body: unknown): T {
    const { data, error } = this.schema.safeParse(body ?? {});
    if (error) throw new BadRequestException(error.issues.map(describe));
    return data;
  }
}

const describe = ({ path, message }: z.core.$ZodIssue) =>
  path.length ? `${path.join('.')}: ${message}` : message;
