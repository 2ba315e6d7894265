/** Where frames enter the application: the one handler of the store. */
import { Controller } from '@nestjs/common';
import { Ctx, EventPattern, Payload } from '@nestjs/microservices';
import type { HolderFrame } from '#protocol';
import { framePattern, type FrameContext } from './frame-server.js';

@Controller()
export class StoreController {
  @EventPattern(framePattern)
  frame(@Payload() frame: HolderFrame, @Ctx() context: unknown): void {
    (context as FrameContext).accept(frame);
  }
}
