// The reference Bluesky server (@atproto/pds) and a PLC directory (@did-plc/server: its database is in memory, its
// checks of operations are the real ones) in one process, on loopback only, for tests.
//
//   PDS_MODULES="$(./install)" node start.mjs      prints one line of JSON when it takes calls; SIGTERM stops it
//
// By environment:
//   PDS_MODULES=dir       the folder that has node_modules (default: this one)
//   PDS_PORT, PLC_PORT    0 or unset: a free port
//   PDS_DATA=dir          keeps the data there (default: a temporary folder, removed at the end)
//   PDS_ADMIN_PASSWORD    default: admin-pass
//   PDS_JWT_SECRET        default: a new one at each start, so that sessions do not outlive the process
//   PDS_RATE_LIMITS=1     the reference rate limits
//   PDS_DID_DOC=0         no didDoc in sessions (Bluesky's own servers send it)
//   PDS_LOGIN_FLOOR=0     drops the 350 ms that every login waits
//   PDS_2FA=handle:CODE,… asks these accounts for an e-mail code when they use their main password
//   STUB_APPVIEW=1        an app view that answers app.bsky.actor.getProfile alone
//   EXIT_WITH_STDIN=1     ends when stdin closes, so that nothing outlives the test runner
//
// What a real server does not offer, on the server's port:
//   GET  /__counts        (on the directory's port too) how often each path was called: what a test has cost in logins
//   POST /__move          {did, endpoint}: the account's DID document names another server from now on
//   POST /__tombstone     {did}: the directory marks the account as gone for good
import { AsyncLocalStorage } from 'node:async_hooks'
import crypto from 'node:crypto'
import dns from 'node:dns'
import { once } from 'node:events'
import fs from 'node:fs'
import http from 'node:http'
import { createRequire } from 'node:module'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { json } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

const started = performance.now()
const env = process.env
const HOST = '127.0.0.1'

// Nothing is asked outside: localhost is the one name that resolves in this process.
dns.setServers(['127.0.0.1:9'])
const realLookup = dns.lookup
dns.lookup = (name, options, callback) => {
  if (typeof options === 'function') { callback = options; options = {} }
  if (name === 'localhost') return realLookup(HOST, options, callback)
  if (net.isIP(name)) return realLookup(name, options, callback)
  const error = new Error(`getaddrinfo ENOTFOUND ${name} (blocked by start.mjs)`)
  process.nextTick(callback, Object.assign(error, { code: 'ENOTFOUND', syscall: 'getaddrinfo', hostname: name }))
}

const stdinEnds = env.EXIT_WITH_STDIN === '1' ? process.stdin.resume() : null
const keepsData = !!env.PDS_DATA
const data = keepsData ? path.resolve(env.PDS_DATA) : fs.mkdtempSync(path.join(os.tmpdir(), 'pds-'))
process.on('exit', () => { if (!keepsData) fs.rmSync(data, { recursive: true, force: true }) })
// Listeners for good, what they call changes: with none for a moment, a signal would kill without the clean-up above.
let stop = () => process.exit(0)
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => stop())
stdinEnds?.on('end', () => stop()).on('close', () => stop())

const modulesFolder = path.resolve(env.PDS_MODULES || path.dirname(fileURLToPath(import.meta.url)))
const requirePackage = createRequire(path.join(modulesFolder, 'package.json'))
const plcPackage = requirePackage('@did-plc/server')
const pdsPackage = requirePackage('@atproto/pds')
const requireOfPds = createRequire(requirePackage.resolve('@atproto/pds'))

// The ports are taken before either server is built, since each gets its own address at its start: so no other process can take them in between.
const listener = async (port) => {
  const server = http.createServer().listen(port, HOST)
  await once(server, 'listening')
  return server
}
const plcListener = await listener(Number(env.PLC_PORT) || 0)
const pdsListener = await listener(Number(env.PDS_PORT) || 0)
const plcPort = plcListener.address().port
const pdsPort = pdsListener.address().port
const plcUrl = `http://localhost:${plcPort}`
const pdsUrl = `http://localhost:${pdsPort}`

// Both packages would listen on every interface: hand them the listener on loopback instead, and count on the way.
const serve = (app, server, extras = {}) => {
  const counts = {}
  const answer = (res, status, body) => {
    res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  }
  server.on('request', (req, res) => {
    const pathname = req.url.split('?')[0]
    if (pathname === '/__counts') return answer(res, 200, counts)
    if (extras[pathname]) {
      return void json(req).then(extras[pathname])
        .then(() => answer(res, 200, {}), (error) => answer(res, 500, { error: error.message }))
    }
    counts[pathname] = (counts[pathname] ?? 0) + 1
    app(req, res)
  })
  app.listen = () => {
    process.nextTick(() => server.emit('listening')) // which their start() waits for
    return server
  }
}

const plc = plcPackage.PlcServer.create({ db: plcPackage.Database.mock(), port: plcPort })
serve(plc.app, plcListener)
await plc.start()

// An app view, so that a client whose login asks for the profile too gets its answer.
let appView = null
let appViewUrl
if (env.STUB_APPVIEW === '1') {
  appView = await listener(0)
  appViewUrl = `http://localhost:${appView.address().port}`
  appView.on('request', async (req, res) => {
    const url = new URL(req.url, 'http://localhost')
    const answer = (status, body) => {
      res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    }
    if (url.pathname !== '/xrpc/app.bsky.actor.getProfile') {
      return answer(501, { error: 'MethodNotImplemented', message: 'stub' })
    }
    const account = await pds.ctx.accountManager.getAccount(url.searchParams.get('actor'), {
      includeDeactivated: true, includeTakenDown: true,
    })
    if (!account) return answer(400, { error: 'InvalidRequest', message: 'Profile not found' })
    answer(200, {
      did: account.did, handle: account.handle, displayName: '', labels: [], viewer: {},
      followersCount: 0, followsCount: 0, postsCount: 0,
    })
  })
}

// Everything is said here: PDS_… variables that the package itself knows are not read.
const adminPassword = env.PDS_ADMIN_PASSWORD ?? 'admin-pass'
const blobs = path.join(data, 'blobs')
const blobsUnderWay = path.join(data, 'blobs-tmp')
for (const folder of [blobs, blobsUnderWay]) fs.mkdirSync(folder, { recursive: true })
const settings = {
  port: pdsPort,
  hostname: 'localhost', // makes the public address http://localhost:PORT
  serviceHandleDomains: ['.test'],
  devMode: true, // its own guard against loopback addresses off; its answers checked against their schemas
  dataDirectory: data,
  blobstoreDiskLocation: blobs,
  blobstoreDiskTmpLocation: blobsUnderWay,
  didPlcUrl: plcUrl,
  enableDidDocWithSession: env.PDS_DID_DOC !== '0',
  inviteRequired: false, // undefined means required
  bskyAppViewUrl: appViewUrl,
  bskyAppViewDid: appViewUrl && 'did:web:localhost',
  crawlers: [],
  rateLimitsEnabled: env.PDS_RATE_LIMITS === '1',
  dpopSecret: crypto.randomBytes(32).toString('hex'),
  jwtSecret: env.PDS_JWT_SECRET ?? crypto.randomBytes(16).toString('hex'),
  adminPassword,
  plcRotationKeyK256PrivateKeyHex: crypto.randomBytes(32).toString('hex'),
}
const pds = await pdsPackage.PDS.create(pdsPackage.envToCfg(settings), pdsPackage.envToSecrets(settings))
const { accountManager, plcClient, plcRotationKey } = pds.ctx
serve(pds.app, pdsListener, {
  '/__move': ({ did, endpoint }) => plcClient.updatePds(did, plcRotationKey, endpoint),
  '/__tombstone': ({ did }) => plcClient.tombstone(did, plcRotationKey),
})

if (env.PDS_2FA) {
  // Only Bluesky's own front door has this: the same answers as there. App passwords need no code.
  const { AuthRequiredError, InvalidRequestError } = requireOfPds('@atproto/xrpc-server')
  const codes = new Map(env.PDS_2FA.split(',').map((pair) => pair.split(':')))
  const login = accountManager.login
  accountManager.login = async (asked) => {
    const answer = await login.call(accountManager, asked)
    const code = codes.get(answer.user.handle)
    if (code && answer.appPassword === null) {
      if (!asked.authFactorToken) {
        throw new AuthRequiredError('A sign in code has been sent to your email address', 'AuthFactorTokenRequired')
      }
      if (asked.authFactorToken !== code) throw new InvalidRequestError('Token is invalid', 'InvalidToken')
    }
    return answer
  }
}

if (env.PDS_LOGIN_FLOOR === '0') {
  // A login ends in `await wait(350 - elapsed)`: that wait is skipped, and it alone.
  const util = createRequire(requireOfPds.resolve('@atproto/common'))('@atproto/common-web/dist/util.js')
  const inLogin = new AsyncLocalStorage()
  const wait = util.wait
  util.wait = (ms) => (inLogin.getStore() ? Promise.resolve() : wait(ms))
  const login = accountManager.login
  accountManager.login = (asked) => inLogin.run(true, () => login.call(accountManager, asked))
}

await pds.start()

let stopping = false
stop = async () => {
  if (stopping) return
  stopping = true
  setTimeout(() => process.exit(1), 5000).unref()
  await pds.destroy().catch(() => {})
  await plc.destroy().catch(() => {})
  process.exit(0) // which closes the app view
}

console.log(JSON.stringify({
  ready: true,
  pid: process.pid,
  pds: pdsUrl,
  plc: plcUrl,
  appview: appViewUrl ?? null,
  pdsDid: pds.ctx.cfg.service.did,
  admin: { user: 'admin', password: adminPassword },
  rateLimits: settings.rateLimitsEnabled,
  data,
  startMs: Math.round(performance.now() - started),
}))
