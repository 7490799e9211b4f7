import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { AgentError } from '../../../agent/api/errors.ts';
import { installedMemoryMib, processorsOf } from '../../../agent/hardware/dmi.ts';
import { parseLan6Addresses, parseLanPrint } from '../../../agent/hardware/ipmitool.ts';
import { parseLldpFrame, vlansOf } from '../../../agent/hardware/lldp.ts';
import { parseLsblk } from '../../../agent/hardware/lsblk.ts';
import { readSmbios } from '../../../agent/hardware/smbios.ts';
import { encodeQuery, readAnswer } from '../../../agent/ironic/dns-message.ts';
import { readTimeAnswer, timeQuestion } from '../../../agent/ironic/sntp.ts';
import { readManifest } from '../../../agent/plugins/manifest.ts';
import { readSaying } from '../../../agent/plugins/protocol.ts';
import { Failure } from '../../../system/failure.ts';

const ROOM = { timeout: 60_000 };
const RUNS = { numRuns: 1000 };
const bytes = fc.uint8Array({ maxLength: 200 });

/** The error that is no failure in words; undefined when there is none. */
function surprise(work: () => unknown): unknown {
  try {
    work();
    return undefined;
  } catch (error) {
    return error instanceof Failure || error instanceof AgentError ? undefined : error;
  }
}

describe('bytes that anybody in the network can send', () => {
  test('as an LLDP frame are what they name, and VLANs that can be', ROOM, () => {
    const header = [...Array.from({ length: 12 }, () => 0), 0x88, 0xcc];
    const tlv = fc
      .tuple(fc.integer({ min: 0, max: 127 }), fc.uint8Array({ maxLength: 40 }), fc.integer({ min: -2, max: 3 }))
      .map(([type, content, lie]) => [(type << 1) & 0xff, Math.max(0, content.length + lie), ...content]);
    const frame = fc.oneof(
      bytes,
      fc.array(tlv, { maxLength: 6 }).map((tlvs) => Uint8Array.from([...header, ...tlvs.flat()])),
    );
    fc.assert(
      fc.property(frame, (data) => {
        expect(vlansOf(parseLldpFrame(data)).every((vlan) => vlan >= 1 && vlan <= 4094)).toBe(true);
      }),
      RUNS,
    );
  });

  test('as an answer of mDNS end, also where names point at themselves', ROOM, () => {
    const name = fc.constantFrom(
      [0xc0, 12],
      [0xc0, 14, 0xc0, 12],
      [3, 97, 98, 99, 0],
      [63, 1],
      [0],
      [0xff, 0xff],
      [0x40, 0],
    );
    const record = fc
      .tuple(
        name,
        fc.constantFrom(1, 12, 16, 28, 33, 255),
        fc.uint8Array({ maxLength: 20 }),
        fc.integer({ min: -1, max: 2 }),
      )
      .map(([label, type, data, lie]) => [
        ...label,
        0,
        type,
        0,
        1,
        0,
        0,
        0,
        1,
        0,
        Math.max(0, data.length + lie),
        ...data,
      ]);
    const message = fc
      .tuple(fc.integer({ min: 0, max: 3 }), fc.array(record, { maxLength: 4 }), bytes)
      .map(([questions, records, rest]) =>
        Uint8Array.from([0, 7, 0x84, 0, 0, questions, 0, records.length, 0xff, 0xff, 0, 0, ...records.flat(), ...rest]),
      );
    fc.assert(
      fc.property(fc.oneof(bytes, message), (data) => {
        expect(surprise(() => readAnswer(data, 7))).toBeUndefined();
      }),
      RUNS,
    );
    const own = encodeQuery(7, [{ name: '_openstack._tcp.local.', type: 12 }]);
    expect(readAnswer(own, 7)).toBeUndefined(); // a question is no answer
  });

  test('as an answer of NTP never move the clock unless they answer what was asked', ROOM, () => {
    const question = timeQuestion();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (data) => {
        expect(readTimeAnswer(data, question, 1000, 2000)).toBeUndefined();
      }),
      RUNS,
    );
    const answer = fc.uint8Array({ minLength: 48, maxLength: 48 }).map((data) => {
      data.set(question.subarray(40), 24);
      return data;
    });
    fc.assert(
      fc.property(answer, (data) => {
        const read = readTimeAnswer(data, question, 1000, 2000);
        expect(read === undefined || 'reason' in read || Number.isFinite(read.offsetMs)).toBe(true);
      }),
      RUNS,
    );
  });
});

describe('what the machine and its programs say', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.json(),
    fc
      .array(fc.constantFrom('IP Address : 1.2.3.4', 'MAC Address: x', '  Address: ::/64', ' ', ':', '-', '\u0000'))
      .map((l) => l.join('\n')),
  );

  test('is read, or refused in words', ROOM, () => {
    fc.assert(
      fc.property(text, bytes, (said, table) => {
        for (const work of [
          () => parseLanPrint(said),
          () => parseLan6Addresses(said),
          () => parseLsblk(said),
          () => installedMemoryMib(readSmbios(table)),
          () => processorsOf(readSmbios(table)),
        ])
          expect(surprise(work)).toBeUndefined();
      }),
      RUNS,
    );
  });

  test('as a plug-in or its manifest, too', ROOM, () => {
    fc.assert(
      fc.property(
        fc.oneof(
          text,
          fc.json().map((value) => `{"run": "x", "version": "1", "steps": ${value}}`),
        ),
        (said) => {
          for (const work of [
            () => readManifest(said),
            () => readSaying(said),
            () => readSaying(`{"progress": ${said}}`),
          ])
            expect(surprise(work)).toBeUndefined();
        },
      ),
      RUNS,
    );
  });
});
