/** Who asks, as far as it decides what they may see and do. Every method of a service that touches tasks takes one. */
export const SCOPES = ['tasks:read', 'tasks:write', 'admin'] as const;
export type Scope = (typeof SCOPES)[number];

export interface Caller {
  /** For logs and audit: the name of the key, the subject of the token, `operator`. */
  name: string;
  /** Sees and makes tasks of this tenant only; null = of all tenants. */
  tenant: string | null;
  /** `admin` includes the others. */
  scopes: ReadonlySet<Scope>;
}

/** Whoever calls from within the process, and everyone where no access control is configured. */
export const OPERATOR: Caller = { name: 'operator', tenant: null, scopes: new Set(SCOPES) };

export function allows(caller: Caller, scope: Scope): boolean {
  return (
    caller.scopes.has('admin') ||
    caller.scopes.has(scope) ||
    (scope === 'tasks:read' && caller.scopes.has('tasks:write'))
  );
}

/** What belongs to another tenant is answered as if it were not there. */
export function sees(caller: Caller, tenant: string): boolean {
  return caller.tenant === null || caller.tenant === tenant;
}
