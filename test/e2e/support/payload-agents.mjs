// An agent whose result is as large as it is told.

export const grow = { name: 'grow', run: ({ bytes }) => 'x'.repeat(bytes - 2) };
