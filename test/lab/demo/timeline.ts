/** What is read of a node while the demo runs; field names are Ironic's. */
export type ObservedNode = {
  provision_state: string;
  driver_internal_info: Record<string, unknown>;
};

export type Moment = { name: string; seconds: number };

export type Timeline = {
  /** Notes a moment now. */
  mark: (name: string) => void;
  observe: (node: ObservedNode) => void;
  /** A line of the serial console. */
  hear: (line: string) => void;
  moments: () => Moment[];
  /** Seconds between two moments, the first of each name from `after` on; undefined when one did not come. */
  between: (first: string, second: string) => number | undefined;
};

export const POWER_ON = 'power on';
export const FIRST_HEARTBEAT = 'first heartbeat';
export const WRITE_BEGIN = 'write_image begins';
export const WRITE_END = 'write_image ends';

/** The legs of a start, by what the console shows when each begins. */
const LEGS: readonly [pattern: RegExp, name: string][] = [
  [/Start PXE over IPv4/, 'firmware asks for DHCP'],
  [/iPXE initialising devices/, 'iPXE runs'],
  [/\] Linux version /, 'kernel runs'],
  [/ingot: starting the agent/, 'agent is started'],
  [/systemd\[1\]: .*running in system mode/, 'systemd runs'],
];

function isWriting(node: ObservedNode): boolean {
  const progress = node.driver_internal_info['agent_progress'] as { step?: unknown } | undefined;
  return progress?.step === 'write_image';
}

/**
 * Turns what is seen of a node, again and again, into moments: changes of state, the first heartbeat after each start, begin
 * and end of image writing.
 * @param now milliseconds that never jump
 */
export function createTimeline(now: () => number): Timeline {
  const start = now();
  const list: Moment[] = [];
  let state: string | undefined;
  let writing = false;
  let heard = true;
  const mark = (name: string) => {
    if (name === POWER_ON) heard = false;
    list.push({ name, seconds: Math.round((now() - start) / 100) / 10 });
  };
  return {
    mark,
    observe: (node) => {
      if (node.provision_state !== state) mark((state = node.provision_state));
      const heartbeat = node.driver_internal_info['agent_last_heartbeat'] !== undefined;
      if (!heard && heartbeat) {
        heard = true;
        mark(FIRST_HEARTBEAT);
      }
      const isNow = isWriting(node);
      if (isNow !== writing) mark(isNow ? WRITE_BEGIN : WRITE_END);
      writing = isNow;
    },
    hear: (line) => {
      const leg = LEGS.find(([pattern]) => pattern.test(line));
      if (leg) mark(leg[1]);
    },
    moments: () => [...list],
    between: (first, second) => {
      // The last start that led to the second moment: an inspection does not beat at all.
      const end = list.findIndex((moment) => moment.name === second);
      const begin = list.findLastIndex((moment, index) => index < end && moment.name === first);
      const [from, to] = [list[begin], list[end]];
      return from === undefined || to === undefined ? undefined : Math.round((to.seconds - from.seconds) * 10) / 10;
    },
  };
}
