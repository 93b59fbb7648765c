// Uploads a file with unmodified tus-js-client in several ways, through cuts, and checks what the
// server holds.
//
// usage: node upload.mjs ENDPOINT TOKEN FILE     (ENDPOINT such as http://127.0.0.1:8080/api/v1/files)
//
// Prints a line for each case and ends with `tus-js-client OK`; ends with another status at the first
// fault. Every upload names the SHA-256 of the whole: bytes that differ are refused with the last request.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import net from 'node:net'
import { Upload } from 'tus-js-client'

const [endpoint, token, path] = process.argv.slice(2)
const content = readFileSync(path)
const headers = { Authorization: `Bearer ${token}` }
const named = { sealed_sha256: createHash('sha256').update(content).digest('hex'), filename: 'upload.bin' }

/// Passes connections on to the server and cuts the first ones after some bytes from the client.
async function relay(cuts) {
  const server = new URL(endpoint)
  const state = { cut: 0 }
  const listener = net.createServer((client) => {
    const upstream = net.connect(Number(server.port), server.hostname)
    let passed = 0
    client.on('data', (data) => {
      passed += data.length
      if (cuts.length > 0 && passed > cuts[0]) {
        cuts.shift()
        state.cut += 1
        client.destroy()
        upstream.destroy()
      } else if (!upstream.write(data)) {
        client.pause()
        upstream.once('drain', () => client.resume())
      }
    })
    upstream.pipe(client)
    client.on('end', () => upstream.end())
    for (const end of [client, upstream]) end.on('error', () => end.destroy())
  })
  await new Promise((ready) => listener.listen(0, '127.0.0.1', ready))
  state.endpoint = `http://127.0.0.1:${listener.address().port}${server.pathname}`
  state.close = () => listener.close()
  return state
}

function upload(options, during = () => {}) {
  return new Promise((resolve, reject) => {
    const job = new Upload(content, {
      endpoint,
      headers,
      metadata: named,
      retryDelays: [0, 50, 100, 200, 400, 800],
      ...options,
      onError: reject,
      onSuccess: () => resolve(job),
      onProgress: (sent) => during(job, sent, resolve),
    })
    job.start()
  })
}

async function held(url) {
  const answer = await fetch(url, { method: 'HEAD', headers: { ...headers, 'Tus-Resumable': '1.0.0' } })
  assert.equal(answer.status, 200)
  return Number(answer.headers.get('Upload-Offset'))
}

async function whole(name, job) {
  assert.equal(await held(job.url), content.length, name)
  console.log(`${name}: OK`)
}

await whole('plain', await upload({}))
await whole('without metadata', await upload({ metadata: {} }))
await whole('bytes with the creation', await upload({ uploadDataDuringCreation: true }))
await whole('chunks', await upload({ chunkSize: Math.ceil(content.length / 7) }))
await whole('PATCH by override', await upload({ overridePatchMethod: true }))

let stopped = false
const half = await upload({ chunkSize: Math.ceil(content.length / 5) }, (job, sent, resolve) => {
  if (!stopped && sent > content.length / 2) {
    stopped = true
    job.abort().then(() => resolve(job))
  }
})
const offset = await held(half.url)
assert.ok(offset > 0 && offset < content.length, `stopped at ${offset} of ${content.length}`)
await whole('resumed by another client', await upload({ uploadUrl: half.url }))

const third = Math.floor(content.length / 3)
const link = await relay([third, third, Math.floor(third / 2)])
await whole('through cuts', await upload({ endpoint: link.endpoint }))
assert.equal(link.cut, 3)
link.close()

const gone = await upload({ chunkSize: Math.ceil(content.length / 2) }, (job, sent, resolve) => {
  if (sent > 0 && job.url) job.abort(true).then(() => resolve(job))
})
assert.equal((await fetch(gone.url, { method: 'HEAD', headers: { ...headers, 'Tus-Resumable': '1.0.0' } })).status, 404)
console.log('terminated: OK')

const other = { ...named, sealed_sha256: createHash('sha256').update('other').digest('hex') }
await assert.rejects(upload({ metadata: other }), (error) => error.originalResponse?.getStatus() === 422)
console.log('other content refused: OK')
console.log('tus-js-client OK')
process.exit(0)
