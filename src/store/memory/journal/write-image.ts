import { FrameText } from './changes.ts';
import type { Disk } from './disk.ts';
import { endOfImage, pathOf } from './files.ts';
import { encodeFrame, encodeHeader } from './frames.ts';
import type { Slice } from './image.ts';

/** Changes in one frame of an image, unless they are long: a few milliseconds of work. */
const FRAME_CHANGES_MAX = 500;

export interface ImageOrder {
  disk: Disk;
  folder: string;
  generation: number;
  slices: Iterable<Slice>;
  now: () => number;
  /** True: nobody wants it any more. */
  isOver: () => boolean;
}

/**
 * Writes an image beside everything else: after each frame it waits for the disk, so others get their turn. It has its
 * name when it is whole and on the medium.
 * @returns its bytes, or null when it was given up
 */
export async function writeImage(order: ImageOrder): Promise<number | null> {
  const { disk, folder, generation } = order;
  const path = pathOf(folder, 'image', generation);
  const bytes = await writeDraft(`${path}.new`, order);
  if (bytes === null) return null;
  await disk.rename(`${path}.new`, path);
  await disk.syncFolder(folder);
  return bytes;
}

async function writeDraft(path: string, order: ImageOrder): Promise<number | null> {
  const file = await order.disk.open(path, 'new');
  let at = 0;
  let frames = 0;
  const put = async (bytes: Buffer) => {
    await file.write(bytes, at);
    at += bytes.length;
  };
  try {
    await put(encodeHeader('image', order.generation));
    for (const text of textsOf(order)) {
      if (order.isOver()) return null;
      await put(encodeFrame(text));
      frames += 1;
    }
    await put(encodeFrame(endOfImage(frames)));
    await file.sync();
    return at;
  } finally {
    await file.close();
  }
}

function* textsOf({ slices, now }: ImageOrder): Generator<string> {
  const text = new FrameText();
  let changes = 0;
  for (const [shard, slice] of slices) {
    for (const change of slice) text.add(shard, change);
    changes += slice.length;
    if (changes < FRAME_CHANGES_MAX && !text.isLong) continue;
    changes = 0;
    yield text.take(now());
  }
  if (!text.isEmpty) yield text.take(now());
}
