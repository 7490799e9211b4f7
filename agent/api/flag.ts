/**
 * Yes or no as operators write it: Ironic hands over what they typed, and Python's words are as good as JSON's.
 * @returns undefined for anything else
 */
export function flagOf(value: unknown): boolean | undefined {
  if (typeof value === 'boolean') return value;
  if (typeof value !== 'string') return undefined;
  if (/^(?:true|yes|on|1)$/i.test(value)) return true;
  return /^(?:false|no|off|0)$/i.test(value) ? false : undefined;
}
