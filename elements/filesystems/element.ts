import type { Element } from '../../builder/element/element.ts';

export const element: Element = {
  name: 'filesystems',
  summary:
    'XFS and Btrfs: the kernel’s modules, by which the agent mounts the root of a partition image that is one of them',
  needs: ['kernel'],
  modules: {
    'file systems of images': {
      reason: 'boot loaders and files of partition images whose root is XFS or Btrfs',
      names: ['xfs', 'btrfs'],
    },
  },
};
