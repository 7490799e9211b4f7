/**
 * A glob as a function: `*` stays within a folder, `**` does not, `{a,b}` is a choice. `x/**` also matches `x` itself.
 */
export function globMatcher(glob: string): (path: string) => boolean {
  let depth = 0;
  const source = glob.replaceAll(/\*\*|[*{},.+?^$()|[\]\\/]/g, (token) => {
    if (token === '**') return '.*';
    if (token === '*') return '[^/]*';
    if (token === '{') return ((depth += 1), '(?:');
    if (token === '}') return ((depth -= 1), ')');
    if (token === ',') return depth > 0 ? '|' : ',';
    return token === '/' ? '/' : `\\${token}`;
  });
  const expression = new RegExp(`^${source.replace(/\/\.\*$/, '(?:/.*)?')}$`);
  return (path) => expression.test(path);
}

/** Whether any of these globs matches. */
export function anyMatcher(globs: readonly string[]): (path: string) => boolean {
  const matchers = globs.map(globMatcher);
  return (path) => matchers.some((matches) => matches(path));
}
