/**
 * One attribute as a root scope changes it. An object from the application is copied, as bytes. The
 * application changes a draft that belongs to the library. So the application's objects are never kept,
 * changed or frozen.
 */
import { decodeDraft, decodeFrozen, encodeValue, type ClassInstances, type Draft } from '../values.js';

export class WorkingCopy {
  /** The value, unless the application has a draft. Undefined when there is no such attribute. */
  private bytes: Uint8Array | undefined;
  /** The bytes as a frozen value. */
  private view: unknown;
  private draft: Draft | undefined;

  constructor(
    private readonly name: string,
    /** The value when the copy was made, or last committed. */
    public base: Uint8Array | undefined,
    private readonly instances: ClassInstances,
  ) {
    this.bytes = base;
  }

  get exists(): boolean {
    return this.draft !== undefined || this.bytes !== undefined;
  }

  /** The draft while the application has one, else a frozen value. */
  get value(): unknown {
    if (this.draft) return this.draft.value;
    if (this.bytes && this.view === undefined) this.view = decodeFrozen(this.bytes);
    return this.view;
  }

  /** The draft: the same object for every call. `initial` makes the value where there is none. */
  edit(initial: (() => unknown) | undefined): unknown {
    if (!this.exists && initial) {
      const made = initial();
      // oxlint-disable-next-line typescript/no-unnecessary-condition -- `initial` may have set it
      if (!this.exists) this.replace(made);
    }
    if (!this.draft && this.bytes) this.draft = decodeDraft(this.bytes);
    return this.draft?.value;
  }

  /**
   * Throws `value-not-serializable` and keeps the value that was there. When the value is the draft itself,
   * the draft goes on. Else the draft is frozen, since later changes in it would be lost without an error.
   */
  replace(value: unknown): void {
    const bytes = value === undefined ? undefined : encodeValue(value, this.name, this.instances);
    if (this.draft && value === this.draft.value) return;
    this.draft?.freeze();
    this.bytes = bytes;
    this.view = undefined;
    this.draft = undefined;
  }

  /** The value now, as bytes. Throws `value-not-serializable` for a draft that cannot be carried. */
  encoded(): Uint8Array | undefined {
    return this.draft ? encodeValue(this.draft.value, this.name, this.instances) : this.bytes;
  }

  /**
   * The scope has ended. A change in a draft that the application has kept would be lost: a frozen one
   * throws.
   */
  end(): void {
    this.draft?.freeze();
  }
}
