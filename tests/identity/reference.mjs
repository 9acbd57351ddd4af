// Resolves handles with @atproto/identity: a question a line on stdin, an answer a line on stdout.
//
//   node reference.mjs FOLDER PLC_URL     (FOLDER holds node_modules)
//
// A question is {"id", "handle"}; an answer has "id" and either "did" and "server", or "none", or "error".
import { createRequire } from 'node:module'
import { setDefaultAutoSelectFamilyAttemptTimeout } from 'node:net'
import { createInterface } from 'node:readline'

const [folder, plcUrl] = process.argv.slice(2)
const require = createRequire(`${folder}/node_modules/@atproto/identity/package.json`)
const { IdResolver } = require('@atproto/identity')
const { version } = require('./package.json')

// 250 ms are too few for a busy machine: a good address would be given up.
setDefaultAutoSelectFamilyAttemptTimeout(1000)
const resolver = new IdResolver({ plcUrl })

async function account(handle) {
  const did = await resolver.handle.resolve(handle)
  if (did === undefined) return { none: 'the handle leads to no DID' }
  const data = await resolver.did.resolveAtprotoData(did, true)
  if (data.handle !== handle) return { none: 'the document does not name the handle back' }
  return { did: data.did, server: data.pds }
}

const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`)
say({ version })
for await (const line of createInterface({ input: process.stdin })) {
  const { id, handle } = JSON.parse(line)
  account(handle).then(
    (answer) => say({ id, ...answer }),
    (error) => say({ id, error: `${error.name}: ${error.message}` }),
  )
}
process.exit(0)
