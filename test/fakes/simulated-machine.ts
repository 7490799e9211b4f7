import { type FakeBmc, startFakeBmc } from './fake-bmc.ts';
import { type Behaviour, bootAgent, defaultBehaviour, fetchPatiently, type SimulatedAgent } from './simulated-agent.ts';

/** A fake: a machine with a BMC that, switched on, fetches its boot script and becomes what that says. */
export type SimulatedMachine = {
  bmc: FakeBmc;
  mac: string;
  behaviour: Behaviour;
  /** Where its boot firmware asks; set once the conductor listens. */
  bootUrl: string;
  agent: SimulatedAgent | undefined;
  /** What it booted, oldest first: `disk`, `inspect`, `agent`, `nothing`. */
  boots: string[];
  kernelLines: string[];
  /** Why a boot came to nothing. */
  problems: string[];
  /** Its network does not work: it never asks for anything. */
  isolated: boolean;
  /** The mains fail. `then`: whether its BMC shows it off, or it has booted from the network by itself before anybody looked. */
  cutPower: (then: 'stays off' | 'boots again') => Promise<void>;
  stop: () => Promise<void>;
};

export async function startMachine(mac = '52:54:00:00:00:01'): Promise<SimulatedMachine> {
  const bmc = await startFakeBmc();
  /** Counts power changes: a boot that was overtaken by one gives up. */
  const power = { changes: 0 };

  const powerOff = async (): Promise<void> => {
    power.changes += 1;
    const { agent } = machine;
    machine.agent = undefined;
    await agent?.stop();
  };
  const boot = async (): Promise<void> => {
    power.changes += 1;
    const mine = power.changes;
    const isOn = () => mine === power.changes;
    const device = bmc.boot.target;
    if (bmc.boot.enabled === 'Once') bmc.boot = { target: 'None', enabled: 'Disabled' };
    if (device !== 'Pxe') return void machine.boots.push('disk');
    if (machine.isolated) return void machine.boots.push('nothing');
    const script = await (await fetchPatiently(`${machine.bootUrl}/boot/ipxe/${machine.mac}`)).text();
    const line = /^kernel (.*)$/m.exec(script)?.[1] ?? '';
    machine.kernelLines.push(line);
    const callback = /ipa-inspection-callback-url=(\S+)/.exec(line)?.[1];
    const api = /ipa-api-url=(\S+)/.exec(line)?.[1];
    machine.boots.push(callback === undefined ? (api === undefined ? 'disk' : 'agent') : 'inspect');
    if (callback !== undefined) {
      const body = {
        inventory: machine.behaviour.inventory,
        boot_interface: machine.mac,
        configuration: {},
        error: machine.behaviour.inspectionError,
      };
      for (let attempt = 0; attempt < 200 && isOn(); attempt++) {
        const response = await fetchPatiently(callback, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(body),
        });
        if (response.status === 202) return;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    } else if (api !== undefined) {
      const off = () => {
        bmc.setPower('Off');
        void powerOff();
      };
      const agent = await bootAgent(api, machine.mac, machine.behaviour, { off, isOn });
      if (isOn()) machine.agent = agent;
      else await agent.stop();
    }
  };
  const machine: SimulatedMachine = {
    bmc,
    mac,
    behaviour: defaultBehaviour(mac),
    bootUrl: '',
    agent: undefined,
    boots: [],
    kernelLines: [],
    problems: [],
    isolated: false,
    cutPower: async (then) => {
      await powerOff();
      if (then === 'stays off') return bmc.setPower('Off');
      bmc.boot = { target: 'Pxe', enabled: 'Once' };
      void boot().catch((error: unknown) => void machine.problems.push(String(error)));
    },
    stop: async () => {
      await powerOff();
      await bmc.close();
    },
  };
  bmc.onPower = (state) =>
    void (state === 'On' ? boot() : powerOff()).catch((error: unknown) => void machine.problems.push(String(error)));
  return machine;
}
