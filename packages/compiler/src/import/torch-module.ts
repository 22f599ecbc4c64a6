import { PickleInstance, type PickleValue } from './pickle.js';

/** The dictionaries of a module's state: what it holds by name. */
const parts = { parameters: '_parameters', buffers: '_buffers', modules: '_modules' } as const;
const transient = '_non_persistent_buffers_set';
/** Far more than any network has; a module may hold another twice, and so on. */
const mostEntries = 1e6;

/** Whether an object is a `torch.nn.Module`, by what its state holds. */
export function isTorchModule({ state }: PickleInstance): boolean {
  return state instanceof Map && Object.values(parts).every((part) => state.get(part) instanceof Map);
}

/**
 * What `module.state_dict()` would give: parameters and persistent buffers under the names of their modules. Undefined for an object that
 * is no module, or that holds itself.
 */
export function moduleState(value: PickleValue | undefined): Map<PickleValue, PickleValue> | undefined {
  const result = new Map<PickleValue, PickleValue>();
  const open = new Set<PickleValue>();
  const visit = (module: PickleValue | undefined, prefix: string): boolean => {
    if (!(module instanceof PickleInstance) || !isTorchModule(module) || open.has(module)) return false;
    open.add(module);
    const state = module.state as Map<PickleValue, PickleValue>;
    const held = (part: string): [PickleValue, PickleValue][] => [
      ...(state.get(part) as Map<PickleValue, PickleValue>),
    ];
    const skipped = state.get(transient);
    const buffers = held(parts.buffers).filter(([name]) => !(Array.isArray(skipped) && skipped.includes(name)));
    for (const [name, tensor] of [...held(parts.parameters), ...buffers])
      result.set(`${prefix}${String(name)}`, tensor);
    const fits =
      result.size <= mostEntries &&
      held(parts.modules).every(([name, child]) => child === null || visit(child, `${prefix}${String(name)}.`));
    open.delete(module);
    return fits;
  };
  return visit(value, '') ? result : undefined;
}
