// Agents that say more than they should, and one that says a lot.

/** Shows the environment wherever an agent can show something. */
export const indiscreet = {
  name: 'indiscreet',
  run: (_, ctx) => {
    const all = JSON.stringify(process.env);
    ctx.log.error(`the environment is ${all}`, { env: process.env });
    ctx.progress(0.5, Object.values(process.env).join(' ').slice(0, 400));
    const secrets = Object.entries(process.env).filter(([name]) => /SECRET|TOKEN|API_KEY|URL/.test(name));
    throw Object.assign(new Error(`no luck with ${secrets.flat().join(' ')}`), { code: 'out_of_luck' });
  },
};

/** Fails as agents do. */
export const failing = {
  name: 'failing',
  run: () => {
    throw new Error('it did not work');
  },
};

export const chatty = {
  name: 'chatty',
  run: ({ lines }, ctx) => {
    for (let n = 0; n < lines; n++) ctx.log.info('a line', { n, padding: 'x'.repeat(200_000) });
    return {};
  },
};
