import { describe, expect, test } from 'vitest';

import { findQemuMachine } from '../../arch/qemu.ts';
import { ARCHITECTURE_NAMES, findArchitecture } from '../../arch/table.ts';
import { type BootHardware, bootArguments, type BootMedium, runMachine } from '../../machine/boot.ts';
import { systemStart } from '../../system/run.ts';

const machines = ARCHITECTURE_NAMES.flatMap((name) => findQemuMachine(name) ?? []);
const tools = { path: (inside: string) => `/tree${inside}` };
const ramdisk: BootMedium = {
  kernel: '/out/a,b.kernel',
  initramfs: '/out/i.initramfs',
  append: 'rootpwd=x sshkey="k"',
};
const hardware: BootHardware = {
  cpus: 2,
  memoryMiB: 2048,
  disks: [{ path: '/d,1.qcow2', format: 'qcow2', kind: 'nvme', serial: 'BOOT-DISK-1' }],
  forwards: [{ host: 40_022, guest: 22 }],
  uefi: false,
};

type Change = { medium?: BootMedium; terminal?: boolean } & Partial<BootHardware>;

function words(arch: string, { medium = ramdisk, terminal = false, ...more }: Change = {}): string[] {
  const machine = findQemuMachine(arch);
  if (machine === undefined) throw new Error(`no row for ${arch}`);
  return bootArguments({ machine, tools, acceleration: 'tcg' }, medium, { ...hardware, ...more }, terminal);
}
const line = (arch: string, change?: Change) => words(arch, change).join(' ');

describe("QEMU's rows", () => {
  test('are there for every architecture, and their consoles are those of the architecture’s row', () => {
    expect(machines.map(({ arch }) => arch)).toEqual(ARCHITECTURE_NAMES);
    for (const { arch, console } of machines) expect(console.split(',')[0]).toBe(findArchitecture(arch)?.boot.console);
  });
});

describe.each(ARCHITECTURE_NAMES)('booting a ramdisk for %s', (arch) => {
  test('hands over kernel, initramfs and parameters, each as one word', () => {
    const all = words(arch);
    expect(all[all.indexOf('-kernel') + 1]).toBe('/out/a,b.kernel');
    expect(all[all.indexOf('-initrd') + 1]).toBe('/out/i.initramfs');
    const row = findQemuMachine(arch);
    const parameters = [`console=${row?.console}`, ...(row?.parameters ?? [])].join(' ');
    expect(all[all.indexOf('-append') + 1]).toBe(`rootfstype=ramfs ${parameters} panic=-1 rootpwd=x sshkey="k"`);
  });

  // Both make the kernel of loongarch64 lose its initramfs, and nobody needs them elsewhere.
  test('says neither earlycon nor mem= to the kernel', () => {
    expect(line(arch)).not.toMatch(/earlycon|\bmem=/);
  });

  test('names one acceleration, and ends when the machine starts anew', () => {
    expect(line(arch)).toContain('-accel tcg,thread=multi');
    expect(line(arch)).not.toContain('kvm');
    expect(words(arch)).toContain('-no-reboot');
  });

  test('leads a port of loopback into the machine, and nothing else', () => {
    expect(line(arch).match(/hostfwd=\S+/g)).toEqual(['hostfwd=tcp:127.0.0.1:40022-:22']);
  });

  test('names a disk’s format, so that a guest cannot change what QEMU takes it for', () => {
    expect(line(arch)).toContain('file=/d,,1.qcow2,format=qcow2');
  });

  test('changes no file of the firmware', () => {
    expect(line(arch, { uefi: true })).toMatch(
      /unit=0,format=raw,readonly=on,file=\/tree\S+ .*unit=1,format=raw,snapshot=on/,
    );
  });

  test('gives Ctrl-A to QEMU and Ctrl-C to the machine on a terminal, and has no monitor elsewhere', () => {
    expect(line(arch, { terminal: true })).toContain('stdio,id=console,mux=on,signal=off -mon chardev=console');
    expect(line(arch)).toContain('stdio,id=console -monitor none');
  });

  test('boots an ISO as a CD, without a kernel of its own', () => {
    const all = line(arch, { medium: { iso: '/out/x.iso' } });
    expect(all).toMatch(/media=cdrom,readonly=on,format=raw,file=\/out\/x\.iso .*scsi-cd,[^ ]*bootindex=0/);
    expect(all).not.toContain('-kernel');
  });
});

test('UEFI is there where the kernel or the medium needs it, and where it is asked for', () => {
  const hasFirmware = (change?: Change) =>
    ARCHITECTURE_NAMES.filter((arch) => line(arch, change).includes('if=pflash'));
  expect(hasFirmware()).toEqual(['loongarch64']);
  expect(hasFirmware({ medium: { iso: '/x.iso' } })).toEqual(['aarch64', 'loongarch64']);
  expect(hasFirmware({ uefi: true })).toEqual(ARCHITECTURE_NAMES);
});

/** A program that stands in for QEMU: the shell with a script. */
function running(script: string, signal = new AbortController().signal) {
  const lines: string[] = [];
  const end = runMachine({
    tools: { command: (file, args) => ({ file, args: [...args], env: {} }) },
    program: '/bin/sh',
    args: ['-c', script],
    start: systemStart,
    signal,
    onLine: (line) => lines.push(line),
  });
  return { lines, end };
}

describe('the life of a machine', () => {
  test('its console comes as plain lines, the last one too when it has no end', async () => {
    const { lines, end } = running(String.raw`printf '\033[1mone\033[0m\r\n\r\ntwo\nlogin: '`);
    await end;
    expect(lines).toEqual(['one', 'two', 'login:']);
  });

  test('what QEMU complains about is the reason why it ended', async () => {
    await expect(running('echo no such board >&2; exit 1').end).rejects.toThrow(
      /cannot run the virtual machine: QEMU ended with exit code 1\nno such board/,
    );
  });

  test('an interruption ends it, and is what comes out', async () => {
    const controller = new AbortController();
    const { lines, end } = running('echo started; exec sleep 600', controller.signal);
    await expect.poll(() => lines).toEqual(['started']);
    const reason = new Error('interrupted');
    controller.abort(reason);
    await expect(end).rejects.toBe(reason);
  });
});
