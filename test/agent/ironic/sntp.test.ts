import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { readTimeAnswer, timeQuestion } from '../../../agent/ironic/sntp.ts';
import { timeAnswer } from '../../fakes/time-server.ts';

const NOW = Date.UTC(2026, 10, 25);

describe('the answer of a time server', () => {
  test('tells how far the own clock is behind, whatever the way takes', () => {
    const offsets = fc.integer({ min: -1e12, max: 1e12 });
    fc.assert(
      fc.property(offsets, fc.integer({ min: 0, max: 2000 }), (offset, way) => {
        const question = timeQuestion();
        const bytes = timeAnswer(question, { arrived: NOW + offset + way, left: NOW + offset + way + 5 });
        const answer = readTimeAnswer(bytes, question, NOW, NOW + 2 * way + 5);
        expect(answer).toEqual({ offsetMs: expect.closeTo(offset, 0) });
      }),
    );
  });

  test('is understood after 2036, when the seconds begin anew', () => {
    const question = timeQuestion();
    const later = Date.UTC(2040, 0, 1);
    const answer = readTimeAnswer(timeAnswer(question, { arrived: later, left: later }), question, NOW, NOW);
    expect(answer).toEqual({ offsetMs: expect.closeTo(later - NOW, 0) });
  });

  test.each([
    ['a refusal', { stratum: 0, code: 'RATE' }, { reason: 'it refuses to answer (RATE)' }],
    ['a server without time', { leap: 3 }, { reason: 'it answers that it does not know the time itself' }],
    ['a stratum that there is not', { stratum: 16 }, { reason: 'it answers that it does not know the time itself' }],
    ['another mode', { mode: 3 }, undefined],
  ])('%s', (_name, change, expected) => {
    const question = timeQuestion();
    const bytes = timeAnswer(question, { arrived: NOW, left: NOW, ...change });
    expect(readTimeAnswer(bytes, question, NOW, NOW)).toEqual(expected);
  });

  test('to somebody else’s question, or garbage, is none', () => {
    const other = timeAnswer(timeQuestion(), { arrived: NOW, left: NOW });
    expect(readTimeAnswer(other, timeQuestion(), NOW, NOW)).toBeUndefined();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        expect(readTimeAnswer(bytes, timeQuestion(), NOW, NOW)).toBeUndefined();
      }),
    );
  });
});
