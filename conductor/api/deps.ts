import type { DriveSettings } from '../drive/deps.ts';
import type { Driver } from '../drive/driver.ts';
import type { Store } from '../store/store.ts';

/** What the routes work with. */
export type ApiDeps = {
  store: Store;
  driver: Driver;
  settings: DriveSettings;
  /** What links in answers begin with; no slash at the end. */
  baseUrl: () => string;
  /** Absolute paths. */
  files: { httpRoot?: string | undefined; kernel?: string | undefined; initramfs?: string | undefined };
};
