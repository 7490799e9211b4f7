import { describe, expect, test } from 'vitest';

import { FLOW_NAMES, FLOWS, planFlows } from './flows.ts';

describe('the flows to run', () => {
  test('all of them, each beginning where the one before has ended', () => {
    const plan = planFlows(FLOW_NAMES);
    expect(new Set(plan)).toEqual(new Set(FLOW_NAMES));
    expect(FLOWS[plan[0] ?? 'clean'].from).toBe('enroll');
    for (const [index, name] of plan.slice(1).entries()) expect(FLOWS[name].from).toBe(FLOWS[plan[index] ?? name].to);
  });

  test('have what leads to them before them', () => {
    expect(planFlows(['deploy-qcow2'])).toEqual(['manage', 'clean', 'deploy-qcow2']);
    expect(planFlows(['undeploy'])).toEqual(['manage', 'clean', 'deploy-qcow2', 'undeploy']);
  });

  test('do not depend on the order in which they were asked for', () => {
    expect(planFlows(['clean', 'inspect'])).toEqual(['manage', 'inspect', 'clean']);
  });
});
