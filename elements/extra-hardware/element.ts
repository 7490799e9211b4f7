import type { Element } from '../../builder/element/element.ts';

export const element: Element = {
  name: 'extra-hardware',
  summary: 'lshw and dmidecode, for looking closer at a machine by hand; the agent does not collect with them',
  needs: ['base'],
  packages: [
    { name: 'lshw', reason: 'lists every part of a machine', only: ['usr/bin/lshw'] },
    { name: 'dmidecode', reason: 'reads what the firmware says of the machine', only: ['usr/sbin/dmidecode'] },
  ],
  warnings: [
    {
      text: 'brings lshw and dmidecode for looking by hand; the inventory has no extra data, because the agent has no collector for it',
    },
  ],
};
