/** Who asks, as far as it decides what they may see and do. Every method of a service that touches tasks takes one. */
export const SCOPES = ['tasks:read', 'tasks:write', 'admin'] as const;
export type Scope = (typeof SCOPES)[number];

export interface Caller {
  /** For logs and audit: the name of the key, the subject of the token, `operator`. */
  name: string;
  /** Sees and makes tasks of this tenant only; null = of all tenants. */
  tenant: string | null;
  /** `admin` includes the others, and never stands beside a tenant: it is over the whole system. */
  scopes: ReadonlySet<Scope>;
}

/** Whoever calls from within the process, and everyone where no access control is configured. */
export const OPERATOR: Caller = { name: 'operator', tenant: null, scopes: new Set(SCOPES) };

/** Whoever calls what is open to all, and showed nothing. The empty text is the name of no tenant. */
export const NOBODY: Caller = { name: 'nobody', tenant: '', scopes: new Set() };

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
