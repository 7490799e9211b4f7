import { defineFailures } from '../../system/failure.ts';

export const dibFailure = defineFailures({
  DIB_NO_FOLDER: {
    message: (detail) => `cannot look for elements in ${detail}: it is no folder`,
    hint: 'name a folder that has a folder for each element with --elements-path DIR',
    exitCode: 2,
  },
  DIB_MISSING: { message: (detail) => `cannot find element ${detail}`, exitCode: 2 },
  DIB_CYCLE: {
    message: (detail) => `cannot order elements: ${detail}`,
    hint: 'take one of these names out of an element-deps file',
  },
  DIB_PROVIDED_TWICE: {
    message: (detail) => `cannot use two elements for one thing: ${detail}`,
    hint: 'leave one of them out',
  },
  DIB_NO_BASE: {
    message: (detail) => `cannot build without an operating system: ${detail}`,
    hint: 'name a distribution, such as debian-minimal',
  },
  DIB_DUPLICATE: {
    message: (detail) => `cannot merge elements: ${detail}`,
    hint: 'rename one of the files, or leave one of the elements out',
  },
  DIB_BAD_HOOK: { message: (detail) => `cannot run a hook: ${detail}` },
  DIB_UNSUPPORTED: { message: (detail) => `cannot use ${detail}` },
  DIB_BAD_FILE: { message: (detail) => `cannot read ${detail}` },
  DIB_HOOK_FAILED: { message: (detail) => `cannot go on: ${detail}` },
  DIB_NETWORK: {
    message: (detail) => `cannot let hooks fetch what nobody has signed: ${detail}`,
    hint: 'allow it with --allow-network, if what they fetch may be another thing tomorrow',
  },
  DIB_NO_SANDBOX: { message: (detail) => `cannot run the hooks of elements here: ${detail}` },
  DIB_NO_TREE: { message: (detail) => `cannot open the tree of a failed build: ${detail}` },
  DIB_NO_ROOT: { message: (detail) => `cannot make the tree that hooks run in: ${detail}` },
});
