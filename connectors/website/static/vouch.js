/**
 * Tell the server who the website's own server says the visitor is; what the page alone says stays unverified.
 * @param {string} address of the site at the server @param {{ token: string, user: string, hash: string }} said
 */
export async function vouch(address, said) {
  const answer = await fetch(`${address}/vouch`, { method: "POST", body: JSON.stringify(said) });
  if (answer.status === 403) console.warn("Joinline: identify() was given a hash that does not belong to this id.");
  return answer.ok;
}
