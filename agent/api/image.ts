import { Type, type Static } from 'typebox';

const text = Type.Union([Type.String(), Type.Null()]);

/** `image_info` of write_image and prepare_image (agent-protocol I.1). Ironic sends more keys than we read. */
export const ImageInfoSchema = Type.Object({
  id: Type.String(),
  urls: Type.Array(Type.String(), { minItems: 1 }),
  disk_format: Type.Optional(text),
  checksum: Type.Optional(text),
  os_hash_algo: Type.Optional(text),
  os_hash_value: Type.Optional(text),
  image_type: Type.Optional(text),
  configdrive: Type.Optional(text),
});
export type ImageInfo = Static<typeof ImageInfoSchema>;
