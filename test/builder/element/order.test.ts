import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import type { Element } from '../../../builder/element/element.ts';
import { nearest } from '../../../cli/nearest.ts';
import { orderElements } from '../../../builder/element/order.ts';

const make = (name: string, fields: Partial<Element> = {}): Element => ({ name, summary: 's', ...fields });
const names = (elements: readonly Element[]) => orderElements(elements).map((one) => one.name);

describe('the order of elements', () => {
  test('is that of their needs, then of what they come after, then of their names', () => {
    expect(
      names([
        make('a', { after: ['z', 'not-there'] }),
        make('z'),
        make('m', { needs: ['virtual'] }),
        make('v', { provides: ['virtual'] }),
      ]),
    ).toEqual(['v', 'm', 'z', 'a']);
  });

  test('does not depend on the order in which they are named', () => {
    const elements = [make('a', { after: ['c'] }), make('b'), make('c', { needs: ['d'] }), make('d'), make('e')];
    fc.assert(
      fc.property(fc.shuffledSubarray(elements, { minLength: elements.length }), (shuffled) => {
        expect(names(shuffled)).toEqual(names(elements));
      }),
    );
  });

  test('puts each after all that it asks for, whatever the graph, unless there is a circle', () => {
    const graph = fc.uniqueArray(fc.tuple(fc.nat(9), fc.nat(9)), { maxLength: 20 });
    fc.assert(
      fc.property(graph, (edges) => {
        // Edges go from larger to smaller numbers, so there is no circle.
        const elements = Array.from({ length: 10 }, (_, index) =>
          make(`e${index}`, {
            after: edges.filter(([a, b]) => Math.max(a, b) === index && a !== b).map(([a, b]) => `e${Math.min(a, b)}`),
          }),
        );
        const order = names(elements);
        for (const element of elements)
          for (const before of element.after ?? [])
            expect(order.indexOf(before)).toBeLessThan(order.indexOf(element.name));
      }),
    );
  });

  test('names the whole circle', () => {
    const circle = [
      make('a', { needs: ['b'] }),
      make('b', { after: ['c'] }),
      make('c', { needs: ['a'] }),
      make('x', { needs: ['a'] }),
    ];
    expect(() => names(circle)).toThrow('a -> b -> c -> a');
  });

  test('an element that provides the name of another cannot be with it', () => {
    expect(() => names([make('init'), make('systemd', { provides: ['init'] })])).toThrow(
      'init and systemd are both init',
    );
  });
});

describe('the name that was meant', () => {
  test.each([
    ['DIB_DEV_USER_USERNAM', 'DIB_DEV_USER_USERNAME'],
    ['dib_dev_user_pasword', 'DIB_DEV_USER_PASSWORD'],
    ['DIB_DEV_UESR_PASSWORD', 'DIB_DEV_USER_PASSWORD'],
    ['DIB_PYTHON_VERSION', undefined],
  ])('%s', (wrong, meant) => {
    expect(nearest(wrong, ['DIB_DEV_USER_USERNAME', 'DIB_DEV_USER_PASSWORD', 'DIB_DHCP_TIMEOUT'])).toBe(meant);
  });
});
