import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gunzipSync, gzipSync } from 'node:zlib';
import { extract } from 'tar-stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { runAgent } from '../../../agent/agent.ts';
import type { CommandResult } from '../../../agent/api/command.ts';
import type { Heartbeat } from '../../../agent/api/ironic.ts';
import { COMMANDS } from '../../../agent/commands/table.ts';
import type { AgentOs } from '../../../agent/os/door.ts';
import { memoryFiles } from '../../fakes/agent-os.ts';
import { fakeParts } from '../../fakes/agent-parts.ts';
import { fastClock } from '../../fakes/clock.ts';
import { freePort } from '../../fakes/free-port.ts';
import { type ImageServer, startImageServer } from '../../fakes/image-server.ts';
import { type FakeIronic, NODE_UUID, type Seen, startFakeIronic, TOKEN } from '../../fakes/ironic.ts';
import { makeDiskImage, TwoDisks } from '../../fakes/two-disks.ts';
import { sha256 } from '../image/delivery.ts';
import { callAgent } from './replay.ts';

const iso = Buffer.alloc(40 * 2048);
iso.write('\u0001CD001\u0001', 0x80_00, 'latin1');
iso.write('canary-in-the-config-drive', 0x90_00, 'latin1');
const CONFIG_DRIVE = gzipSync(iso).toString('base64');

/** Each of them once, so that what leaks says where it was. */
const CANARY = {
  token: TOKEN,
  bootToken: 'canary-boot-token-that-is-as-long-as-real-ones-are',
  rootHash: '$6$canarysalt$canaryrootpasswordhashcanaryrootpasswordhash',
  apiPassword: 'canary-api-password',
  imagePassword: 'canary-image-password',
  imageSignature: 'canary-image-signature',
  imageServerPassword: 'canary-image-server-password',
  authorization: 'canary-authorization',
  proxyPassword: 'canary-proxy-password',
  rescueHash: '$6$canaryrescue$canaryrescuepasswordhashcanaryrescuepassword',
  pullSecret: 'canary-pull-secret',
  privateKey: 'canaryprivatekeycanaryprivatekey',
  configDrive: CONFIG_DRIVE.slice(0, 60),
};
const encoded = (text: string): string => Buffer.from(text).toString('base64');
const FORBIDDEN = [
  ...Object.values(CANARY),
  encoded(`Basic ${CANARY.authorization}`),
  encoded(`image-user:${CANARY.imagePassword}`),
];
const leaks = (text: string): string[] => FORBIDDEN.filter((secret) => text.includes(secret));

/** What any program or file of the machine says that the agent may ask and put into an archive. */
const MACHINE_SAYS = [
  `[    0.000000] Command line: console=ttyS0 ipa-agent-token=${CANARY.bootToken} rootpwd="${CANARY.rootHash}" ipa-debug=1`,
  `  501 root  /usr/bin/curl https://ops:${CANARY.apiPassword}@api/v1/x?sig=${CANARY.imageSignature}`,
  `root:${CANARY.rootHash}:20000:0:99999:7:::`,
  `{"agent_token": "${CANARY.token}", "image_server_password": "${CANARY.imageServerPassword}"}`,
  `-----BEGIN PRIVATE KEY-----\n${CANARY.privateKey}\n-----END PRIVATE KEY-----`,
  `Authorization: Basic ${encoded(`image-user:${CANARY.imagePassword}`)}`,
  'and this is what a reader of the log wants to see',
].join('\n');

let ironic: FakeIronic;
let server: ImageServer;
let disks: TwoDisks;
let stateDirectory: string;
const image = await makeDiskImage();

beforeEach(async () => {
  ironic = await startFakeIronic();
  server = await startImageServer((_index, request) =>
    request.url?.includes('missing') ? { content: image, status: 404 } : { content: image },
  );
  disks = new TwoDisks();
  await disks.start();
  disks.spareBytes = 2 ** 31;
  disks.others = async () => ({ stdout: MACHINE_SAYS, stderr: '', exitCode: 0 });
  stateDirectory = await mkdtemp(join(tmpdir(), 'ingot-secrets-'));
});
afterEach(async () => {
  await ironic.close();
  await server.close();
  await disks.stop();
  await rm(stateDirectory, { recursive: true });
});

async function unpack(base64: string): Promise<string> {
  const texts: string[] = [];
  for await (const entry of Readable.from(gunzipSync(Buffer.from(base64, 'base64'))).pipe(extract())) {
    const chunks: Buffer[] = [];
    for await (const chunk of entry) chunks.push(chunk as Buffer);
    texts.push(`== ${entry.header.name}\n${Buffer.concat(chunks).toString('utf8')}`);
  }
  return texts.join('\n');
}

/** Everything of the machine that is read, but for what the agent needs to be right. */
function talkative(os: AgentOs): AgentOs {
  const files = memoryFiles({ '/proc/cmdline': MACHINE_SAYS, '/run/x/y': MACHINE_SAYS });
  return {
    ...os,
    clock: fastClock(50),
    files: { ...files, read: async (path) => (path.startsWith('/sys/') ? undefined : MACHINE_SAYS) },
  };
}

const INFO = {
  id: 'image',
  disk_format: 'raw',
  image_request_authorization: encoded(`Basic ${CANARY.authorization}`),
  image_server_auth_strategy: 'http_basic',
  image_server_user: 'image-user',
  image_server_password: CANARY.imageServerPassword,
};

describe('secrets', () => {
  test('leave the agent by no log, console, list of commands, error or archive', { timeout: 60_000 }, async () => {
    const controller = new AbortController();
    const port = await freePort();
    const words = [
      `ipa-api-url=${ironic.url.replace('//', `//ops:${CANARY.apiPassword}@`)}`,
      `ipa-inspection-callback-url=${ironic.url}/v1/continue_inspection?key=${CANARY.imageSignature}`,
      `ipa-agent-token=${CANARY.bootToken}`,
      `ipa-listen-host=127.0.0.1 ipa-listen-port=${port} ipa-advertise-port=${port} ipa-advertise-host=127.0.0.1`,
      'ipa-debug=1 ipa-image-download-connection-retries=0',
    ];
    const { parts, output } = await fakeParts({
      cmdline: words.join(' '),
      stateDirectory,
      os: talkative(disks.os()),
      signal: controller.signal,
      commands: COMMANDS,
    });
    const first = ironic.next((seen: Seen) => seen.path.startsWith('/v1/heartbeat/'));
    const running = runAgent(parts).catch(() => undefined);
    const beat = (await first).body as Heartbeat;
    const answers: string[] = [];
    const call = async (method: string, query: string, body: unknown): Promise<unknown> => {
      const path = `/v1/commands/?${query}agent_token=${TOKEN}`;
      const answer = await callAgent(beat, method, path, body);
      answers.push(JSON.stringify(answer.body));
      return answer.body;
    };
    const command = async (name: string, params: unknown): Promise<CommandResult> =>
      (await call('POST', 'wait=true&', { name, params })) as CommandResult;
    const node = {
      uuid: NODE_UUID,
      instance_info: {
        configdrive: CONFIG_DRIVE,
        hashed_rescue_password: CANARY.rescueHash,
        image_pull_secret: CANARY.pullSecret,
      },
      driver_info: { ipmi_password: CANARY.apiPassword },
    };
    const write = (info: object, args: object = {}) => ({
      node,
      ports: [],
      step: { step: 'write_image', interface: 'deploy', args: { image_info: { ...INFO, ...info }, ...args } },
    });
    const url = (path: string): string =>
      `${server.url.replace('//', `//image-user:${CANARY.imagePassword}@`).replace('image.raw', path)}?X-Amz-Signature=${CANARY.imageSignature}`;
    const sum = { os_hash_algo: 'sha256', os_hash_value: sha256(image) };

    // What goes wrong talks the most.
    const failures = [
      await command('deploy.execute_deploy_step', write({ urls: [url('missing.raw')], ...sum })),
      await command(
        'deploy.execute_deploy_step',
        write({ urls: [url('image.raw')], ...sum, os_hash_value: '0'.repeat(64) }),
      ),
      await command('deploy.execute_deploy_step', write({ urls: [`ftp://u:${CANARY.imagePassword}@h/x`], ...sum })),
      await command('deploy.execute_deploy_step', write({ urls: [`http://${CANARY.imagePassword}@[bad/x`], ...sum })),
      await command('deploy.execute_deploy_step', write({ urls: [url('image.raw')], checksum: url('missing.sha256') })),
      await command(
        'deploy.execute_deploy_step',
        write({ urls: [url('image.raw')], ...sum }, { configdrive: url('missing') }),
      ),
      await command(
        'deploy.execute_deploy_step',
        write({ urls: [url('image.raw')], ...sum }, { configdrive: `${CONFIG_DRIVE}x!` }),
      ),
      await command(
        'deploy.execute_deploy_step',
        write({
          urls: [url('image.raw')],
          ...sum,
          proxies: { http: `http://proxy:${CANARY.proxyPassword}@127.0.0.1:9` },
        }),
      ),
      await command('deploy.execute_deploy_step', {
        ...write({}),
        step: { step: 'write_image', args: { [CANARY.rescueHash]: 1 } },
      }),
      await command('rescue.finalize_rescue', { rescue_password: CANARY.rescueHash, hashed: 'neither' }),
    ];
    expect(failures.filter((result) => result.command_status === 'SUCCEEDED')).toEqual([]);
    const refusals = [
      await call('POST', 'wait=true&', `{"name": "standby.prepare_image", "params": {"x": ${CANARY.rescueHash}`),
      await call('POST', 'wait=true&', {
        name: 'standby.prepare_image',
        params: { image_info: { ...INFO, urls: [] } },
      }),
      await call('POST', 'wait=true&', { name: 'standby.prepare_image', params: CANARY.rescueHash }),
      await call('POST', `token=${CANARY.token}&`, { name: 'nosuch', params: {} }),
    ];
    expect(refusals.every((body) => typeof (body as { faultstring?: unknown }).faultstring === 'string')).toBe(true);
    const said = answers.splice(0);
    expect(said.flatMap((text) => leaks(text).map((secret) => `${secret} in ${text}`))).toEqual([]);

    // The echo of a step that went well is the whole step, secrets and all: the conductor sent them, and IPA returns them.
    const good = write({ urls: [url('image.raw')], ...sum }, { configdrive: null });
    const done = await command('deploy.execute_deploy_step', good);
    expect(done.command_error).toBeNull();
    expect((done.command_result as { deploy_step: unknown }).deploy_step).toEqual(good.step);
    const list = (await call('GET', '', null)) as { commands: CommandResult[] };
    const echo = JSON.stringify(good.step);
    expect(leaks(JSON.stringify(list).replaceAll(echo, ''))).toEqual([]);

    const { command_result: collected } = await command('log.collect_system_logs', {});
    const archive = await unpack((collected as { system_logs: string }).system_logs);
    expect(archive).toContain('and this is what a reader of the log wants to see');
    expect(leaks(archive)).toEqual([]);
    expect(leaks(output())).toEqual([]);

    // To Ironic goes the token alone, and that only with a beat.
    const sent = ironic.seen.map((seen) => ({
      ...seen,
      query: [...seen.query],
      headers: { ...seen.headers, authorization: '' },
    }));
    const inspection = sent.find((seen) => seen.path === '/v1/continue_inspection')?.body as { logs: string };
    expect(leaks(await unpack(inspection.logs))).toEqual([]);
    for (const seen of sent) {
      const { logs: _, ...body } = (seen.body ?? {}) as Record<string, unknown>;
      const found = leaks(
        JSON.stringify({ ...seen, query: seen.path.startsWith('/v1/continue') ? [] : seen.query, body }),
      );
      expect([seen.path, found]).toEqual([seen.path, seen.path.startsWith('/v1/heartbeat/') ? [TOKEN] : []]);
    }
    for (const name of await readdir(stateDirectory))
      expect([name, (await stat(join(stateDirectory, name))).mode & 0o077]).toEqual([name, 0]);
    controller.abort(new Error('stopped by the test'));
    await running;
  });
});
