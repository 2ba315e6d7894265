/** Where frames enter the application: the one handler of the store, called once for a turn's frames. */
import { Controller } from '@nestjs/common';
import { Ctx, EventPattern, Payload } from '@nestjs/microservices';
import type { HolderFrame } from '#protocol';
import { framePattern, type FrameContext } from './frame-server.js';

@Controller()
export class StoreController {
  @EventPattern(framePattern)
  frames(@Payload() frames: readonly HolderFrame[], @Ctx() context: unknown): void {
    (context as FrameContext).accept(frames);
  }
}
