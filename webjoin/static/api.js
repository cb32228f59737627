// The page's calls. Every one is a POST from this origin; none is made by opening the page but `preview`.

/** @type {Promise<unknown>} */
let before = Promise.resolve(); // calls go one after another, so that none follows the one that signs out

/**
 * @template T
 * @param {string} call
 * @param {object} body
 * @returns {Promise<import("./page").Result<T>>}
 */
export function ask(call, body) {
  const asked = before.then(() => /** @type {Promise<import("./page").Result<T>>} */ (post(call, body)));
  before = asked;
  return asked;
}

/**
 * @template T
 * @param {string} call
 * @param {object} body
 * @returns {Promise<import("./page").Result<T>>}
 */
async function post(call, body) {
  try {
    const response = await fetch(`/join/api/${call}`, {
      method: "POST", credentials: "same-origin", cache: "no-store",
      headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
    });
    const answer = await response.json();
    if (response.ok) return { ok: true, value: answer };
    return { ok: false, problem: { status: response.status, ...answer.error } };
  } catch {
    return { ok: false, problem: { status: 0, code: "unreachable", message: "Can't reach the chat." } };
  }
}
