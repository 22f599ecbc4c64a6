import { availableParallelism, cpus } from 'node:os';

/** This process among those that `mpirun` or `srun` started. */
export interface MpiLaunch {
  readonly rank: number;
  /** How many there are; null where the launcher does not say. */
  readonly size: number | null;
  /** How many of them are on this machine. */
  readonly localSize: number;
}

/** Variables of Open MPI, of MVAPICH, of launchers that speak PMI (MPICH, Intel MPI, Slurm) and PMIx. */
const launchers = [
  { rank: 'OMPI_COMM_WORLD_RANK', size: 'OMPI_COMM_WORLD_SIZE', localSize: 'OMPI_COMM_WORLD_LOCAL_SIZE' },
  { rank: 'MV2_COMM_WORLD_RANK', size: 'MV2_COMM_WORLD_SIZE', localSize: 'MV2_COMM_WORLD_LOCAL_SIZE' },
  { rank: 'PMI_RANK', size: 'PMI_SIZE', localSize: 'MPI_LOCALNRANKS' },
  { rank: 'PMIX_RANK', size: 'SLURM_STEP_NUM_TASKS', localSize: 'SLURM_STEP_TASKS_PER_NODE' },
] as const;

const count = (text: string | undefined): number | null => {
  const value = Number.parseInt(text ?? '', 10);
  return Number.isNaN(value) ? null : value;
};

/** What the environment says of MPI; null in a process that no launcher started, or that it started alone. */
export const mpiLaunch = (
  environment: Readonly<Record<string, string | undefined>> = process.env,
): MpiLaunch | null => {
  for (const names of launchers) {
    const rank = count(environment[names.rank]);
    if (rank === null) continue;
    const size = count(environment[names.size]);
    return size === 1 ? null : { rank, size, localSize: count(environment[names.localSize]) ?? 1 };
  }
  return null;
};

/** Threads for each process of a machine that several share: all that it may use where the launcher has bound it to cores. */
export const threadsOf = ({ localSize }: MpiLaunch): number => {
  const usable = availableParallelism();
  return usable < cpus().length ? usable : Math.max(Math.floor(usable / localSize), 1);
};
