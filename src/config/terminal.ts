/** What the environment says about a terminal; https://no-color.org: any value that is not empty means no colours. */
export function colorsAllowed(): boolean {
  return !process.env.NO_COLOR && process.env.TERM !== 'dumb';
}
