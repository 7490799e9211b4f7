/** Power as a BMC tells it; `unknown` while it is on its way (Redfish PoweringOn, PoweringOff, Paused). */
export type BmcPower = 'power on' | 'power off' | 'unknown';

/** What to do with the machine's power. `soft` asks the operating system first and insists after a while. */
export type PowerAction = 'power on' | 'power off' | 'rebooting' | 'soft power off' | 'soft rebooting';

export type BootDevice = 'pxe' | 'disk';

/** A machine's management controller. Every call may fail with a `Failure` that names the BMC and what to look at. */
export type Bmc = {
  power: (signal?: AbortSignal) => Promise<BmcPower>;
  /** Returns when the BMC says that the machine has got there. */
  setPower: (action: PowerAction, signal?: AbortSignal) => Promise<void>;
  /** @param once for the next boot only; else until it is set anew */
  setBootDevice: (device: BootDevice, options: { once: boolean; uefi: boolean }, signal?: AbortSignal) => Promise<void>;
};
