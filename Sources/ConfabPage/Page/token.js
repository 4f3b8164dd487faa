// The token that proves who the user is. It comes in the address, as `#tea&token=…`, is kept for this tab, and is removed
// from the address, so that a copied link does not contain it.

import { session } from "./storage.js";

/** Takes the token out of the address, if there is one. */
export function takeToken() {
  const match = /^(.*?)[#&]token=([^&]*)$/.exec(location.hash);
  if (!match) return;
  session.set("token", decodeURIComponent(match[2]));
  history.replaceState(null, "", match[1] || location.pathname + location.search);
}

export const token = () => session.get("token");
