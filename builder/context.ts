import type { Architecture } from '../arch/table.ts';
import type { Progress } from '../cli/progress.ts';
import type { Base } from './bases.ts';
import type { Compression } from './compression.ts';
import type { Mirror } from './debian/mirror.ts';
import type { DibRecipe } from './dib/recipe.ts';
import type { BuilderHost } from './host/door.ts';
import type { Lock } from './lock.ts';
import type { MediaFormat } from './media/formats.ts';
import type { Plan } from './plan.ts';
import type { RpmWorkshop } from './rpm/workshop.ts';

export type BuildOptions = {
  host: BuilderHost;
  /** `uname -m` name or an alias; this machine's own unless said. */
  arch?: string | undefined;
  /** The first that has the architecture unless said: `trixie` where it can be. */
  release?: string | undefined;
  /** Distribution that the release has to be one of: `debian`, `openeuler`, `centos`. */
  distribution?: string | undefined;
  /** Path of the results without their endings; `ingot-<arch>` unless said. */
  output?: string | undefined;
  /** As `--mirror`; the host's own APT sources unless said. */
  mirror?: readonly string[];
  /** Files with keys that an RPM base's packages are signed with, in place of the distribution's own. */
  keys?: readonly string[] | undefined;
  /** Elements to put in besides what they need; `agent` unless said. */
  elements?: readonly string[] | undefined;
  /** Folders with elements besides those that come with Ingot; the first that has a name wins. */
  elementsPath?: readonly string[];
  /** Variables that elements may use: those of whoever builds. */
  env?: Readonly<Record<string, string | undefined>>;
  /** Packages to put in whole besides those of the elements. */
  packages?: readonly string[];
  /** Largest size of kernel and initramfs together, bytes; a build that is larger fails. */
  maxBytes?: number | undefined;
  /** As `--compress`; zstd at its release level unless said. */
  compress?: string | undefined;
  /** As `--format`: media to write besides kernel and initramfs. */
  formats?: readonly string[];
  /** Kernel parameters to put on media behind those that are there anyway. */
  append?: string | undefined;
  /** Build what this manifest locks instead of resolving packages; true for that of the output itself. */
  lock?: string | boolean | undefined;
  /** Show each command that a hook runs. */
  trace?: boolean;
  /** Let hooks fetch what nobody has signed. */
  allowNetwork?: boolean;
  /** Source of the agent's entry; `agent/main.ts` of this checkout unless said. */
  agentEntry?: string | undefined;
  progress: Progress;
  signal: AbortSignal;
};

/** What is to be built, with every name looked up. */
export type Context = {
  options: BuildOptions;
  row: Architecture;
  release: Base;
  mirror: Mirror;
  plan: Plan;
  compression: Compression;
  formats: readonly MediaFormat[];
  /** What was asked for, by names. */
  request: Lock['request'];
  /** Elements of diskimage-builder whose hooks have to run. */
  foreign: DibRecipe | undefined;
  /** Digests of the plan's elements. */
  digests: Lock['elements'];
  lock: Lock | undefined;
  /** What it takes to work with RPM packages, opened when it is first asked for; of RPM bases only. */
  rpm: (() => Promise<RpmWorkshop>) | undefined;
};
