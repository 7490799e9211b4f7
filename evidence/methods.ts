import type { Category, Expectation } from './record.ts';

type MethodClaim = {
  /** What the method may claim at most. */
  category: Category;
  /** Why no more, or why so much; the standards are NIST SP 800-88 and IEEE 2883, to which its revision 2 points. */
  why: string;
  /** What the disk has to read back as. */
  expects: Expectation;
};

const PURGES = 'the device erases all of its medium, spare parts too';
const BY_KEY = 'the device throws away the key that everything on it is encrypted with, as its maker says';

/**
 * Every way to erase, strongest first among those that a disk has. Agent and verifier go by this one table, so that no evidence
 * claims more than its method can give.
 */
export const METHOD_CLAIMS = {
  'nvme-sanitize-block': { category: 'purge', why: PURGES, expects: 'changed' },
  'nvme-sanitize-crypto': { category: 'purge', why: BY_KEY, expects: 'changed' },
  'nvme-sanitize-overwrite': { category: 'purge', why: PURGES, expects: 'changed' },
  'ata-sanitize-block': { category: 'purge', why: PURGES, expects: 'changed' },
  'ata-sanitize-crypto': { category: 'purge', why: BY_KEY, expects: 'changed' },
  'ata-sanitize-overwrite': { category: 'purge', why: PURGES, expects: 'changed' },
  'scsi-sanitize-block': { category: 'purge', why: PURGES, expects: 'changed' },
  'scsi-sanitize-crypto': { category: 'purge', why: BY_KEY, expects: 'changed' },
  'scsi-sanitize-overwrite': { category: 'purge', why: PURGES, expects: 'changed' },
  'opal-psid-revert': { category: 'purge', why: BY_KEY, expects: 'changed' },
  'ata-security-erase-enhanced': {
    category: 'clear',
    why: 'what else than the addressable sectors the device erases is its maker’s choice',
    expects: 'changed',
  },
  'nvme-format-crypto': {
    category: 'clear',
    why: 'IEEE 2883 counts Format NVM as Clear: nothing says that spare parts are reached',
    expects: 'changed',
  },
  'nvme-format-user-data': {
    category: 'clear',
    why: 'IEEE 2883 counts Format NVM as Clear: nothing says that spare parts are reached',
    expects: 'changed',
  },
  'ata-security-erase': { category: 'clear', why: 'the device erases what is addressable', expects: 'changed' },
  'overwrite-zeros': {
    category: 'clear',
    why: 'every addressable sector was overwritten; spare and remapped ones are not reached',
    expects: 'zeros',
  },
  'overwrite-pattern': {
    category: 'clear',
    why: 'every addressable sector was overwritten; spare and remapped ones are not reached',
    expects: 'pattern',
  },
  discard: {
    category: 'none',
    why: 'the device was told to forget what is on it and reads as zeros; nothing says that the medium was erased',
    expects: 'zeros',
  },
  metadata: {
    category: 'none',
    why: 'partition tables and signatures are gone; the data is not',
    expects: 'ends-zero',
  },
} as const satisfies Record<string, MethodClaim>;

export type MethodName = keyof typeof METHOD_CLAIMS;

/** @returns undefined for a method that is not in the table */
export function claimOf(method: string): MethodClaim | undefined {
  return Object.hasOwn(METHOD_CLAIMS, method) ? METHOD_CLAIMS[method as MethodName] : undefined;
}
