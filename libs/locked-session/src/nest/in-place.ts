/**
 * Puts a wrapper in a method's place. Nest and others keep metadata of a method on the function itself.
 */
import 'reflect-metadata';

/**
 * Copies to `wrapper` the name, length, properties and metadata of `method`, and returns it. By inheritance
 * it also has what `method` inherits or gets later.
 */
export function inPlaceOf(method: object, wrapper: object): object {
  for (const [name, property] of Object.entries(Object.getOwnPropertyDescriptors(method))) {
    if (name !== 'prototype') Object.defineProperty(wrapper, name, property);
  }
  for (const key of Reflect.getOwnMetadataKeys(method) as unknown[])
    Reflect.defineMetadata(key, Reflect.getOwnMetadata(key, method), wrapper);
  return Object.setPrototypeOf(wrapper, method) as object;
}
