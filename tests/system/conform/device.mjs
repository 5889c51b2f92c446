// A device in JavaScript, written from docs/how-to/write-your-own-device.md alone.
//
//   node device.mjs --id kiosk-0001 --port 1883 --trust trust.json --dir state [--host H] [--root fd/main]
//                   [--segment all] [--hardware js] [--first-wait MS]
//
// It takes updates into two slots, resumes, obeys kills, takes plain flags, and sends no telemetry. Its
// "inference" is a timer; its validation accepts everything.
import { createHash, createPublicKey, verify } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { decode, encode } from '@msgpack/msgpack'
import mqtt from 'mqtt'

const { values: args } = parseArgs({
  options: {
    id: { type: 'string' }, host: { type: 'string', default: '127.0.0.1' }, port: { type: 'string', default: '1883' },
    trust: { type: 'string' }, dir: { type: 'string' }, root: { type: 'string', default: 'fd/main' },
    segment: { type: 'string', default: 'all' }, hardware: { type: 'string', default: 'js' },
    'first-wait': { type: 'string', default: '1000' },
  },
})
const STATES = ['IDLE', 'OFFERED', 'WAITING', 'DOWNLOADING', 'DOWNLOADED', 'VERIFIED', 'STAGED', 'TRIAL', 'COMMITTED',
  'ROLLED_BACK', 'FAILED', 'REJECTED', 'CANCELED', 'TIMED_OUT', 'SUPERSEDED']
const S = Object.fromEntries(STATES.map((name, number) => [name, number]))
const TOLD = new Set([S.DOWNLOADING, S.VERIFIED, S.TRIAL])
const KIB = 1024
const SMALL_CHUNK = 16 * KIB
const ROUND_BYTES = 128 * KIB
const CHECKPOINT = 64 * KIB
const TRANSIENT = new Set(['Unauthorized', 'InternalError'])
const INFERENCE = 'gauge'
const log = (...words) => console.error(new Date().toISOString(), ...words)
const sha256 = (data) => createHash('sha256').update(data).digest()
const same = (a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)) === 0
const between = (low, high) => low + Math.random() * (high - low)

// -- storage: small files replaced whole, slots written in place -------------------------------------

const file = (name) => path.join(args.dir, name)
function save (name, data) {
  const handle = fs.openSync(file(name) + '.new', 'w')
  fs.writeSync(handle, data)
  fs.fsyncSync(handle)
  fs.closeSync(handle)
  fs.renameSync(file(name) + '.new', file(name))
}
function load (name) {
  try { return fs.readFileSync(file(name)) } catch { return null }
}
fs.mkdirSync(args.dir, { recursive: true })
const state = {
  boot: 0, committed: '', slots: { a: null, b: null }, trial: null, want: null, st: S.IDLE, rs: '', stGen: 0,
  kill: 0, killed: [], flags: 0, values: {}, banned: {}, blamed: {}, events: [], map: null,
}
const stored = load('state')
if (stored) Object.assign(state, decode(stored))
state.boot += 1
const remember = () => save('state', encode(state))
remember()

// -- signatures --------------------------------------------------------------------------------------

const DER = Buffer.from('302a300506032b6570032100', 'hex') // SubjectPublicKeyInfo of an Ed25519 key
const keys = {}
for (const [role, list] of Object.entries(JSON.parse(fs.readFileSync(args.trust)))) {
  keys[role] = list.map((hex) => {
    const raw = Buffer.from(hex, 'hex')
    return { id: sha256(raw).subarray(0, 8), key: createPublicKey({ key: Buffer.concat([DER, raw]), format: 'der', type: 'spki' }) }
  })
}
const isBytes = (v, size) => v instanceof Uint8Array && (size === undefined || v.length === size)
const isNumber = (v) => Number.isInteger(v) && v >= 0
const isMap = (v) => v !== null && typeof v === 'object' && !Array.isArray(v) && !isBytes(v)
function readMap (data) {
  try {
    const map = decode(data)
    return isMap(map) ? map : null
  } catch { return null }
}
function open (role, envelope, bytesMax) {
  const e = envelope.length <= bytesMax + 256 ? readMap(envelope) : null
  if (!e || !isBytes(e.p) || !isBytes(e.k, 8) || !isBytes(e.s, 64)) return null
  if (e.p.length > bytesMax) return null
  const known = (keys[role] ?? []).find((one) => same(one.id, e.k))
  if (!known) return null
  const signed = Buffer.concat([Buffer.from(`fleetdrill/${role}\0`), e.p])
  return verify(null, signed, known.key, e.s) ? e.p : null
}

// -- the session -------------------------------------------------------------------------------------

const topic = (kind) => `${args.root}/d/${args.id}/${kind}`
const FILTERS = [`${args.root}/k`, `${args.root}/f/${args.segment}`, topic('want'), topic('ctl'), topic('dat')]
let client = null
let online = false
let session = 0
let subscribed = false
let wait = 1000
let onlineSince = 0
let stateKnown = false // whether the broker has our newest have

function connect () {
  session += 1
  const link = { b: state.boot, q: session, on: false }
  client = mqtt.connect({
    host: args.host, port: Number(args.port), protocolVersion: 5, clientId: args.id, clean: false, keepalive: 60,
    reconnectPeriod: 0, connectTimeout: 20_000, resubscribe: false, queueQoSZero: false,
    properties: { sessionExpiryInterval: 86_400 },
    will: { topic: topic('link'), payload: Buffer.from(encode(link)), qos: 1, retain: true },
  })
  const mine = client
  client.on('message', (name, payload, packet) => { if (mine === client) heard(name, payload, packet.retain) })
  client.on('error', (error) => log('connection:', error.message))
  client.on('connect', (connack) => {
    if (connack.sessionPresent && subscribed) return goOnline(true)
    const timer = setTimeout(() => mine.stream.destroy(), 20_000)
    client.subscribe(FILTERS, { qos: 1 }, (error, granted) => {
      clearTimeout(timer)
      if (error || granted.some((one) => one.qos >= 0x80)) return mine.stream.destroy()
      subscribed = true
      if (mine === client) goOnline(false)
    })
  })
  client.on('close', () => { if (mine === client) lost() })
}
function goOnline (sessionPresent) {
  online = true
  onlineSince = Date.now()
  log(`online, session ${session}`)
  publish('link', { b: state.boot, q: session, on: true }, { retain: true })
  if (!sessionPresent || !stateKnown) said = ''
  report()
  flushEvents()
  if (!gate) gate = setTimeout(openGate, 2000)
  job?.transfer?.ask()
}
function lost () {
  if (online && Date.now() - onlineSince >= 60_000) wait = 1000
  online = false
  client.end(true)
  client = null
  job?.transfer?.disconnected()
  wait = between(1000, Math.min(120_000, Math.max(3000, 3 * wait)))
  log(`no connection, again in ${Math.round(wait)} ms`)
  setTimeout(connect, wait)
}
function publish (kind, map, { retain = false, done } = {}) {
  client.publish(topic(kind), Buffer.from(encode(map)), { qos: 1, retain }, (error) => { if (!error) done?.() })
}

// -- reports and events ------------------------------------------------------------------------------

let said = ''
let reports = 0
let eventNumber = 0
function report () {
  if (!online) return
  const slot = state.trial?.slot ?? state.committed
  const running = slot ? state.slots[slot] : null
  const have = {
    g: state.want?.g ?? 0, sl: slot || 'a', d: running ? running.manifest : new Uint8Array(), t: Boolean(state.trial),
    st: state.st, rs: state.rs, r: state.want?.r ?? '', a: state.want?.a ?? 0, fr: state.flags, kv: state.kill,
    hc: args.hardware, v: running ? running.variant : '',
  }
  const now = JSON.stringify(have)
  if (now === said) return
  said = now
  stateKnown = false
  reports += 1
  const mine = reports
  const by = job?.transfer ? job.transfer.bytesDone() : 0
  publish('have', { b: state.boot, q: reports, by, ...have }, { retain: true, done: () => { stateKnown ||= mine === reports } })
}
function enter (st, rs = '', want = state.want) {
  if (state.st !== st || state.rs !== rs || state.stGen !== want.g) log(`generation ${want.g}: ${STATES[st]} ${rs}`)
  const ended = st >= S.COMMITTED
  const fresh = state.st !== st || state.stGen !== want.g
  Object.assign(state, { st, rs, stGen: want.g })
  if (fresh && (ended || TOLD.has(st))) {
    eventNumber += 1
    const event = { b: state.boot, q: eventNumber, k: 'update', g: want.g, r: want.r, a: want.a, st, rs, d: want.m }
    state.events = [...state.events, event].slice(-64)
  }
  remember()
  flushEvents()
  report()
}
const flying = new Set()
function flushEvents () {
  if (!online) return
  for (const event of state.events) {
    const name = `${event.b}/${event.q}`
    if (flying.has(name)) continue
    flying.add(name)
    const mine = client
    client.once('close', () => flying.delete(name))
    mine.setMaxListeners(128)
    publish('ev', event, {
      done: () => {
        state.events = state.events.filter((one) => one.b !== event.b || one.q !== event.q)
        if (!state.events.length) remember()
      },
    })
  }
}

// -- what is heard -----------------------------------------------------------------------------------

function heard (name, payload, retained) {
  if (name === FILTERS[0]) return takeKills(payload)
  if (name === FILTERS[1]) return takeFlags(payload)
  if (name === topic('want')) return takeWant(payload)
  if (name === topic('dat')) return job?.transfer?.frame(payload)
  if (name === topic('ctl') && !retained) return takeControl(payload)
}
function takeKills (envelope) {
  const payload = open('flags', envelope, KIB)
  const list = payload && readMap(payload)
  if (!list || !isNumber(list.v)) return
  const features = list.f ?? []
  if (!Array.isArray(features) || features.some((one) => typeof one !== 'string')) return
  if (list.v > state.kill) {
    Object.assign(state, { kill: list.v, killed: features })
    remember()
    log(`kill list ${list.v}: ${features.join(' ') || 'nothing'}`)
  }
  openGate()
  work()
  report()
  advance()
}
function takeFlags (envelope) {
  const payload = open('flags', envelope, 2 * 64 * KIB)
  const flags = payload && readMap(payload)
  if (!flags || !isNumber(flags.r) || !isBytes(flags.d) || flags.sg !== args.segment) return
  if ((flags.bk ?? 'flagd-cbor-1') !== 'flagd-cbor-1' || flags.r <= state.flags) return
  let found
  try { found = JSON.parse(Buffer.from(flags.d).toString()).flags } catch { return }
  if (!isMap(found)) return
  const values = {}
  for (const [flag, told] of Object.entries(found)) {
    if (told?.state === 'ENABLED' && !told.targeting) values[flag] = told.variants?.[told.defaultVariant]
  }
  Object.assign(state, { flags: flags.r, values })
  remember()
  work()
  report()
}
function enabled () {
  return !state.killed.includes(INFERENCE) && (state.values[INFERENCE] ?? true) !== false
}
function takeControl (payload) {
  const verb = readMap(payload)
  if (verb?.c === 'report') {
    said = ''
    report()
  } else if (verb?.c === 'wait' || verb?.c === 'nack') job?.transfer?.verb(verb)
}

// -- the want ----------------------------------------------------------------------------------------

let job = null // the update in hand
const committed = () => (state.committed ? state.slots[state.committed] : null)
const other = () => (state.committed === 'b' ? 'a' : 'b')
const name = (digest) => Buffer.from(digest).toString('hex')

function takeWant (envelope) {
  const payload = open('director', envelope, 4 * KIB)
  const want = payload && readMap(payload)
  const good = want && typeof want.d === 'string' && isNumber(want.g) && typeof want.r === 'string' &&
    isBytes(want.m, 32) && isNumber(want.mb)
  if (!good || want.d !== args.id || want.g <= (state.want?.g ?? 0)) return
  const old = state.want
  want.a ??= 0
  if (state.trial) {
    state.want = want
    if (same(state.trial.manifest, want.m)) {
      state.trial.g = want.g
      enter(S.TRIAL)
    } else if (!want.h) goBack(S.SUPERSEDED, '', false, old)
    else remember()
    return
  }
  if (job && same(job.want.m, want.m)) {
    state.want = job.want = want
    remember()
    report()
    return advance()
  }
  if (job) {
    enter(S.SUPERSEDED, '', old)
    drop()
  }
  state.want = want
  remember()
  plan()
}
function drop () {
  job?.transfer?.stop()
  clearTimeout(job?.timer)
  job = null
}
function plan () {
  const want = state.want
  if (committed() && same(committed().manifest, want.m)) return enter(S.COMMITTED)
  if (state.banned[name(want.m)]) return enter(S.REJECTED, 'quarantined')
  if (want.x && Date.now() > want.x && Date.now() > 1_577_836_800_000) return enter(S.CANCELED, 'expired')
  if (want.mb < 1 || want.mb > 65_792) return enter(S.REJECTED, 'manifest:size')
  job = { want, startAt: Date.now() + Math.random() * (want.j ?? 0), transfer: null, variant: null, hashes: null, failures: 0, checked: false }
  enter(S.OFFERED)
  advance()
}
function end (st, rs) {
  drop()
  enter(st, rs)
}
function blocked () {
  if (job.want.h) return 'hold'
  if (Date.now() < job.startAt) return 'jitter'
  return '' // on mains, cool: no policy holds this device back
}
function advance () {
  if (!job) return
  const why = blocked()
  if (why) {
    job.transfer?.hold()
    clearTimeout(job.timer)
    if (why !== 'jitter') return enter(S.WAITING, why)
    job.timer = setTimeout(advance, job.startAt - Date.now() + 1)
    return
  }
  const { want } = job
  const inactive = state.slots[other()]
  if (inactive?.verified && same(inactive.manifest, want.m)) return begin()
  if (!job.variant) return fetch({ blob: want.m, size: want.mb, chunk: SMALL_CHUNK }, (data) => openManifest(data))
  const { image, hashes } = job.variant
  if (inactive?.verified && name(inactive.image) === image.digest) {
    state.slots[other()] = { ...inactive, manifest: want.m, variant: job.variant.name }
    remember()
    return begin()
  }
  if (!job.hashes) {
    const blob = Buffer.from(hashes.digest, 'hex')
    return fetch({ blob, size: hashes.size_bytes, chunk: SMALL_CHUNK }, (data) => { job.hashes = data })
  }
  if (inactive) {
    state.slots[other()] = null
    remember()
  }
  const blob = Buffer.from(image.digest, 'hex')
  fetch({ blob, size: image.size_bytes, chunk: job.variant.chunk_bytes, hashes: job.hashes }, imageHere)
}
function fetch (source, here) {
  if (state.st !== S.DOWNLOADING || state.stGen !== job.want.g) enter(S.DOWNLOADING)
  if (job.transfer) return job.transfer.goOn()
  const mine = job
  job.transfer = new Transfer(source, (failed, data) => {
    if (job !== mine) return
    job.transfer = null
    if (failed) {
      if (failed.rs === 'integrity') blame()
      return end(failed.st, failed.rs)
    }
    here(data)
    advance()
  })
  job.transfer.ask()
}
function blame () {
  const digest = name(job.want.m)
  state.blamed[digest] = (state.blamed[digest] ?? 0) + 1
  if (state.blamed[digest] >= 3) state.banned[digest] = true
}
function openManifest (envelope) {
  const payload = open('targets', envelope, 64 * KIB)
  let manifest = null
  try { manifest = payload && JSON.parse(Buffer.from(payload).toString()) } catch { /* refused below */ }
  const sound = Array.isArray(manifest?.variants) && manifest.variants.every((v) => {
    const chunks = Math.ceil(v.image?.size_bytes / v.chunk_bytes)
    return v.chunk_bytes >= 256 && v.chunk_bytes <= 131_072 && (v.chunk_bytes & (v.chunk_bytes - 1)) === 0 &&
      v.hashes?.size_bytes === 32 * chunks && Array.isArray(v.hardware)
  })
  if (!sound) return end(S.REJECTED, 'manifest:untrusted')
  job.variant = manifest.variants.find((v) => v.hardware.includes('*') || v.hardware.includes(args.hardware))
  if (!job.variant) end(S.REJECTED, 'hardware')
}
function imageHere () {
  enter(S.DOWNLOADED)
  const { image, name: variant } = job.variant
  const back = load(`slot-${other()}`).subarray(0, image.size_bytes)
  state.map = null
  if (sha256(back).toString('hex') !== image.digest) {
    job.failures += 1
    if (job.failures < 2) return
    blame()
    return end(S.FAILED, 'integrity')
  }
  const found = { manifest: job.want.m, variant, image: Buffer.from(image.digest, 'hex'), size: image.size_bytes }
  state.slots[other()] = { ...found, verified: true }
  job.checked = true
  enter(S.VERIFIED)
}

// -- trial and commit --------------------------------------------------------------------------------

let trialTimer = null
function begin () {
  if (!job.checked) { // verified in an earlier boot, or under another manifest: read it back
    const { image, size } = state.slots[other()]
    if (!same(sha256(load(`slot-${other()}`).subarray(0, size)), image)) {
      state.slots[other()] = null
      remember()
      return advance()
    }
    job.checked = true
    enter(S.VERIFIED)
  }
  if (!enabled()) return enter(S.WAITING, 'killed')
  const { want } = job
  drop()
  state.trial = { slot: other(), g: want.g, manifest: want.m, ms: Math.min(want.p?.tr ?? 60_000, 900_000), boots: 0 }
  remember()
  enter(S.TRIAL)
  work()
}
function work () { // the inference: while it runs, the trial's clock does
  if (!state.trial || !enabled() || !gateOpen) {
    clearTimeout(trialTimer)
    trialTimer = null
    return
  }
  trialTimer ??= setTimeout(commit, state.trial.ms)
}
function commit () {
  trialTimer = null
  state.committed = state.trial.slot
  state.trial = null
  remember()
  afterTrial(S.COMMITTED, '')
}
function goBack (st, rs, ban, want = state.want) {
  clearTimeout(trialTimer)
  trialTimer = null
  if (ban) {
    state.banned[name(state.trial.manifest)] = true
    state.slots[state.trial.slot] = null
  }
  state.trial = null
  remember()
  afterTrial(st, rs, want)
}
function afterTrial (st, rs, want = state.want) {
  enter(st, rs, want)
  if (state.want.g !== state.stGen) plan()
}

// -- one blob in chunks ------------------------------------------------------------------------------

let transfers = 0
class Transfer {
  constructor (source, done) {
    transfers += 1
    this.id = ((state.boot & 0xffff) * 0x10000 + (transfers & 0xffff)) >>> 0
    Object.assign(this, source, { done, seq: 0, open: [], held: false, pauseUntil: 0, timer: null, ended: false })
    this.chunks = Math.ceil(this.size / this.chunk)
    this.windowMax = Math.min(512, Math.max(1, Math.floor(ROUND_BYTES / this.chunk)))
    this.window = Math.min(2, this.windowMax)
    this.srtt = this.rttvar = this.timeouts = this.empty = this.unsaved = this.whole = 0
    this.bad = new Map()
    this.nacks = new Map()
    this.startOver()
  }

  startOver () {
    this.here = Buffer.alloc(Math.ceil(this.chunks / 8))
    if (!this.hashes) {
      this.data = Buffer.alloc(this.size)
      this.count = 0
      return
    }
    const map = state.map
    const slotFile = file(`slot-${other()}`)
    if (map && same(map.blob, this.blob) && map.chunk === this.chunk && fs.existsSync(slotFile)) this.here = Buffer.from(map.bits)
    else {
      state.map = null
      remember()
      fs.rmSync(slotFile, { force: true })
    }
    this.fd = fs.openSync(slotFile, fs.constants.O_RDWR | fs.constants.O_CREAT)
    this.count = 0
    for (let n = 0; n < this.chunks; n++) if (this.has(n)) this.count += 1
  }

  has (n) { return Boolean(this.here[n >> 3] >> (n & 7) & 1) }
  bytesOf (n) { return Math.min(this.chunk, this.size - n * this.chunk) }
  bytesDone () { return Math.min(this.size, this.count * this.chunk) }
  hold () { if (!this.held) { this.held = true; this.open = []; this.arm() } }
  goOn () { this.held = false; this.ask() }
  disconnected () { this.open = []; this.arm() }

  checkpoint () {
    if (!this.unsaved || !this.fd) return
    fs.fsyncSync(this.fd)
    this.unsaved = 0
    state.map = { blob: this.blob, chunk: this.chunk, bits: this.here }
    remember()
  }

  stop () {
    this.checkpoint()
    this.ended = true
    clearTimeout(this.timer)
    if (this.fd) fs.closeSync(this.fd)
    this.fd = null
  }

  finish (failed, data) {
    this.stop()
    this.done(failed, data)
  }

  ask () {
    if (this.ended) return
    if (this.count === this.chunks) return this.complete()
    const now = Date.now() // once: were it read again to set the timer, the pause might be over, and nothing would be waited for
    if (!online || this.held || now < this.pauseUntil) return this.arm(now)
    while (this.open.length < 2) {
      const wanted = this.pick()
      if (!wanted.length) break
      this.request(wanted)
    }
    this.arm()
  }

  pick () {
    const asked = new Set(this.open.flatMap((one) => [...one.wanted]))
    const out = []
    for (let n = 0; n < this.chunks && out.length < this.window; n++) {
      if (this.has(n) || asked.has(n)) continue
      if (out.length && n - out[0] >= this.windowMax) break
      out.push(n)
    }
    return out
  }

  request (wanted) {
    this.seq += 1
    const base = wanted[0]
    const span = wanted.at(-1) - base + 1
    const get = { x: this.id, q: this.seq, b: this.blob, o: base, n: span, cr: ROUND_BYTES, rt: Math.round(this.srtt) }
    if (span !== wanted.length) {
      get.m = new Uint8Array(Math.ceil(span / 8))
      for (const n of wanted) get.m[n - base >> 3] |= 1 << (n - base & 7)
    }
    const now = Date.now()
    this.open.push({ seq: this.seq, wanted: new Set(wanted), sentAt: now, got: 0, alone: !this.open.length, until: now + this.patience() })
    publish('get', get)
  }

  patience () {
    const rto = this.srtt ? this.srtt + 4 * this.rttvar : 3000
    return Math.min(30_000, Math.max(1000, rto) * 2 ** this.timeouts) * between(0.75, 1.25)
  }

  frame (payload) {
    if (this.ended || payload.length <= 24 || payload[0] !== 1) return
    const sent = payload.readUInt16BE(2)
    if (Boolean(payload[1] & 1) !== Boolean(sent)) return
    const n = payload.readUInt32BE(16)
    const one = this.open.find((each) => each.seq === payload.readUInt32BE(20))
    if (payload.readUInt32BE(4) !== this.id || !same(payload.subarray(8, 16), this.blob.subarray(0, 8)) || !one) return
    if (!one.wanted.has(n) || this.has(n)) return
    one.wanted.delete(n)
    this.take(n, payload.subarray(24))
    if (this.ended) return
    const now = Date.now()
    one.got += 1
    this.empty = 0
    if (one.got === 1 && one.alone && !this.timeouts) this.measured(now - one.sentAt)
    one.until = now + this.patience()
    if (sent || !one.wanted.size) {
      this.open = this.open.filter((each) => each !== one)
      this.timeouts = 0
      if (one.got === sent || !one.wanted.size) this.window = Math.min(this.windowMax, 2 * this.window)
    }
    this.ask()
  }

  measured (rtt) {
    this.rttvar = this.srtt ? this.rttvar + (Math.abs(rtt - this.srtt) - this.rttvar) / 4 : rtt / 2
    this.srtt = this.srtt ? this.srtt + (rtt - this.srtt) / 8 : rtt
  }

  take (n, data) {
    const good = data.length === this.bytesOf(n) &&
      (!this.hashes || same(sha256(data), this.hashes.subarray(32 * n, 32 * n + 32)))
    if (!good) {
      this.bad.set(n, (this.bad.get(n) ?? 0) + 1)
      if (this.bad.get(n) >= 3) this.finish({ st: S.FAILED, rs: 'integrity' })
      return
    }
    if (this.hashes) fs.writeSync(this.fd, data, 0, data.length, n * this.chunk)
    else data.copy(this.data, n * this.chunk)
    this.here[n >> 3] |= 1 << (n & 7)
    this.count += 1
    this.nacks.clear()
    this.unsaved += data.length
    if (this.unsaved + this.chunk > CHECKPOINT) this.checkpoint()
  }

  complete () {
    if (this.hashes || same(sha256(this.data), this.blob)) return this.finish(null, this.data)
    this.whole += 1
    if (this.whole >= 3) return this.finish({ st: S.FAILED, rs: 'integrity' })
    this.startOver()
    this.open = []
    this.ask()
  }

  verb (verb) {
    if (this.ended || verb.x !== this.id || !this.open.some((one) => one.seq === verb.q)) return
    this.open = this.open.filter((one) => one.seq !== verb.q)
    const now = Date.now()
    let pause
    if (verb.c === 'wait') pause = Math.max(10, Math.min(verb.ra ?? 0, 3_600_000)) * between(1, 1.125)
    else {
      const code = verb.e ?? 'InternalError'
      const times = (this.nacks.get(code) ?? 0) + 1
      this.nacks.set(code, times)
      if (!TRANSIENT.has(code) || times >= 3) {
        const st = { Superseded: S.SUPERSEDED, Quarantined: S.REJECTED }[code] ?? S.FAILED
        return this.finish({ st, rs: `nack:${code}` })
      }
      pause = between(500, 1000) * 2 ** times
    }
    this.pauseUntil = Math.max(this.pauseUntil, now + pause)
    this.arm(now)
  }

  arm (now = Date.now()) { // one timer for all that is waited for
    clearTimeout(this.timer)
    if (this.ended || !online || this.held) return
    const due = this.open.map((one) => one.until)
    if (this.pauseUntil > now) due.push(this.pauseUntil)
    if (due.length) this.timer = setTimeout(() => this.due(), Math.max(1, Math.ceil(Math.min(...due) - now)))
  }

  due () {
    const late = this.open.filter((one) => one.until <= Date.now())
    this.open = this.open.filter((one) => !late.includes(one))
    if (late.length) {
      this.timeouts = Math.min(5, this.timeouts + 1)
      this.window = Math.max(1, this.window >> 1)
      if (!late.some((one) => one.got)) this.empty += 1
      if (this.empty >= 32) return this.finish({ st: S.FAILED, rs: 'link' })
      if (this.empty && this.empty % 5 === 0) this.pauseUntil = Date.now() + between(15_000, 30_000) * this.empty / 5
    }
    this.ask()
  }
}

// -- the boot ----------------------------------------------------------------------------------------

let gate = null // inference waits for the kill list
let gateOpen = false
function openGate () {
  gateOpen = true
  work()
}
setTimeout(openGate, 30_000).unref()
if (state.trial) {
  state.trial.boots += 1
  remember()
  if (state.trial.boots > 1) goBack(S.ROLLED_BACK, 'runtime:reboot', true)
} else if (state.want && !(state.st >= S.COMMITTED && state.stGen === state.want.g)) plan()
setTimeout(connect, Math.random() * Number(args['first-wait']))
process.on('SIGTERM', () => process.exit(0))
