/**
 * The postcore example in TypeScript: it connects an account, handles each kind of refusal, leases,
 * posts and watches.
 *
 * The other modes are for tests: what a caller sees of a node that ends, and of bad input.
 */

import { reach, refusals } from "./badinput.js";
import { check } from "./check.js";
import { follow } from "./follow.js";

const modes: Record<string, () => Promise<void>> = { check, follow, refusals, reach };
const run = modes[process.argv[2] ?? "check"];
if (!run) {
  console.error("modes: check, follow, refusals, reach");
  process.exit(2);
}
await run();
