import { describe, expect, test } from 'vitest';

import { packageMaps, parsePackageMap, serviceMap } from '../../../builder/dib/maps.ts';
import { sourceRepositories } from '../../../builder/dib/sources.ts';
import { fakeFolders } from '../../fakes/element-folders.ts';

const MAP = JSON.stringify({
  default: { web: 'apache', ssh: 'openssh', gone: 'gone' },
  family: { redhat: { web: 'httpd', gone: '' } },
  distro: { centos: { ssh: 'openssh-server' } },
  release: { centos: { '9-stream': { web: 'httpd-core httpd-tools' } } },
});
const element = (name: string) => ({ name, folder: `/e/${name}`, deps: [], provides: [] });

describe('pkg-map', () => {
  const read = (distro: string, release: string) => parsePackageMap(MAP, 'pkg-map', { distro, release });

  test('takes the name of the release before that of the distribution, its family and the default', () => {
    expect(read('centos', '9-stream')).toEqual({ web: 'httpd-core httpd-tools', ssh: 'openssh-server', gone: '' });
    expect(read('centos', '10-stream')).toEqual({ web: 'httpd', ssh: 'openssh-server', gone: '' });
    expect(read('openeuler', '22.03-LTS')).toEqual({ web: 'httpd', ssh: 'openssh', gone: '' });
    expect(read('debian', 'trixie')).toEqual({ web: 'apache', ssh: 'openssh', gone: 'gone' });
  });

  test('is read of every element that has one', async () => {
    const folders = fakeFolders({ '/e/one/pkg-map': MAP, '/e/two/element-deps': 'one' });
    const maps = await packageMaps([element('one'), element('two')], folders, { distro: 'debian', release: 'trixie' });
    expect([...maps]).toEqual([['one', { web: 'apache', ssh: 'openssh', gone: 'gone' }]]);
  });

  test('that is no JSON is named', () => {
    expect(() => parsePackageMap('{', '/e/thing/pkg-map', { distro: 'debian', release: 'trixie' })).toThrow(
      'cannot read /e/thing/pkg-map',
    );
  });
});

describe('svc-map', () => {
  const folders = fakeFolders({
    '/e/one/svc-map': 'web:\n  redhat: httpd\n  debian: apache2\nplain:\n  suse: other\n',
    '/e/two/svc-map': 'db:\n  default: mariadb\n  openeuler: mysqld\n',
    '/e/three/svc-map': 'web:\n  default: nginx\n',
  });

  test('knows the distributions of the redhat family that upstream forgot', async () => {
    expect(await serviceMap([element('one'), element('two')], folders, { distro: 'openeuler', release: '' })).toEqual({
      web: 'httpd',
      plain: 'plain',
      db: 'mysqld',
    });
    expect((await serviceMap([element('one')], folders, { distro: 'debian', release: '' }))['web']).toBe('apache2');
  });

  test('refuses a service that two elements map', async () => {
    await expect(
      serviceMap([element('one'), element('three')], folders, { distro: 'debian', release: '' }),
    ).rejects.toThrow('cannot merge elements: one and three both map the service web');
  });
});

describe('source-repository files', () => {
  const folders = fakeFolders({
    '/e/one/source-repository-thing':
      '# where it is\nthing git /opt/thing https://example.org/~me/thing.git ${THING_REF:-stable}\n',
    '/e/two/source-repository-data': 'data tar /opt/data $DATA_URL\n',
    '/e/bad/source-repository-bad': 'bad git\n',
    '/e/odd/source-repository-odd': 'odd package /opt/odd odd\n',
  });
  const read = (name: string, env: Record<string, string> = {}, type = 'source') =>
    sourceRepositories([element(name)], folders, env, () => type);

  test('say what to fetch, with variables and defaults', async () => {
    expect(await read('one')).toEqual([
      {
        name: 'thing',
        element: 'one',
        type: 'git',
        destination: '/opt/thing',
        location: 'https://example.org/~me/thing.git',
        ref: 'stable',
      },
    ]);
    expect((await read('two', { DATA_URL: 'http://x/data.tgz' }))[0]).toMatchObject({
      location: 'http://x/data.tgz',
      ref: '*',
    });
  });

  test('give way to DIB_REPO variables', async () => {
    const env = { DIB_REPOREF_thing: 'v2', DIB_REPOLOCATION_thing: '/srv/thing.git' };
    expect((await read('one', env))[0]).toMatchObject({ ref: 'v2', location: '/srv/thing.git' });
    expect((await read('one', { DIB_GITREPOBASE: 'https://mirror/' }))[0]?.location).toBe('https://mirror/thing.git');
  });

  test('do not count for what is installed from packages', async () => {
    expect(await read('one', {}, 'package')).toEqual([]);
    expect(await read('one', { NO_SOURCE_REPOSITORIES: '1' })).toEqual([]);
  });

  test('that make no sense are named', async () => {
    await expect(read('bad')).rejects.toThrow('cannot read /e/bad/source-repository-bad: expected "name type');
    await expect(read('odd')).rejects.toThrow('odd has type package, which is none of git, tar, file');
  });
});
