// The other end of `voice.py`: WebRTC legs on libdatachannel that send Opus packets made beforehand, and note when
// something comes back.  One order a line in (JSON), one answer a line out.  Time is milliseconds of one clock.
'use strict'
const { readFileSync } = require('node:fs')
const { createInterface } = require('node:readline')
const rtc = require('node-datachannel')

const FRAME_MS = 20
const clips = JSON.parse(readFileSync(process.argv[2], 'utf8')).map((clip) => clip.map((each) => Buffer.from(each, 'base64')))
const legs = new Map()
let measuring = null

const say = (message) => process.stdout.write(JSON.stringify(message) + '\n')
const now = () => performance.now()

class Leg {
  constructor({ id, clip, peer, ssrc }) {
    Object.assign(this, { id, peer, ssrc, clip: clips[clip], at: 0, sequence: 1000, timestamp: 0, last: 0 })
    this.due = now() + Math.random() * FRAME_MS
    this.sentAt = new Map()
    this.gaps = []
    this.delays = []
    this.sent = []
    this.got = []
    this.keeps = false
    this.packets = 0
    this.connection = new rtc.PeerConnection(id, { iceServers: [], disableAutoNegotiation: true })
    const audio = new rtc.Audio('audio', 'SendRecv')
    audio.addOpusCodec(111)
    audio.addSSRC(ssrc, id)
    this.track = this.connection.addTrack(audio)
    this.track.onMessage((packet) => this.hear(packet))
    this.connection.onStateChange((state) => state === 'connected' && say({ up: id }))
    this.connection.onGatheringStateChange((state) => {
      if (state === 'complete') say({ offer: id, sdp: this.connection.localDescription().sdp })
    })
    this.connection.setLocalDescription('offer')
  }

  speak(at) {
    const payload = this.clip[this.at++ % this.clip.length]
    const packet = Buffer.allocUnsafe(12 + payload.length)
    packet[0] = 0x80
    packet[1] = 111
    packet.writeUInt16BE(this.sequence++ & 0xffff, 2)
    packet.writeUInt32BE((this.timestamp = (this.timestamp + 960) >>> 0), 4)
    packet.writeUInt32BE(this.ssrc, 8)
    payload.copy(packet, 12)
    this.sentAt.set(payload.toString('latin1'), at)
    if (this.keeps) this.sent.push([at, payload.toString('base64')])
    if (this.track.isOpen()) this.track.sendMessageBinary(packet)
  }

  hear(packet) {
    if (packet.length < 12 || (packet[1] >= 192 && packet[1] <= 208)) return
    const at = now()
    const extension = packet[0] & 16 ? 4 + 4 * packet.readUInt16BE(14 + 4 * (packet[0] & 15)) : 0
    const payload = packet.subarray(12 + 4 * (packet[0] & 15) + extension)
    if (measuring) {
      this.packets++
      if (this.last) this.gaps.push(at - this.last)
      const sent = legs.get(this.peer)?.sentAt.get(payload.toString('latin1'))
      if (sent !== undefined) this.delays.push(at - sent)
      if (this.keeps) this.got.push([at, payload.toString('base64')])
    }
    this.last = at
  }
}

const part = (sorted, share) => (sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] : null)
const spread = (values) => {
  const sorted = Float64Array.from(values).sort()
  return { p50: part(sorted, 0.5), p99: part(sorted, 0.99), max: part(sorted, 1), n: sorted.length }
}

setInterval(() => {
  const at = now()
  for (const leg of legs.values()) {
    if (at < leg.due) continue
    leg.due += FRAME_MS
    if (at - leg.due > 1000) leg.due = at
    leg.speak(at)
  }
}, 1)

const orders = {
  call: (order) => legs.set(order.id, new Leg(order)),
  answer: ({ id, sdp }) => legs.get(id).connection.setRemoteDescription(sdp, 'answer'),
  measure: ({ seconds, keep }) => {
    for (const leg of legs.values()) {
      Object.assign(leg, { gaps: [], delays: [], sent: [], got: [], last: 0, packets: 0, keeps: keep.includes(leg.id) })
    }
    measuring = true
    setTimeout(() => {
      measuring = null
      const all = [...legs.values()]
      const kept = Object.fromEntries(all.filter((each) => each.keeps).map((each) => [each.id, { sent: each.sent, got: each.got }]))
      say({
        measured: true,
        gap: spread(all.flatMap((each) => each.gaps)),
        worst_leg_gap_p99: Math.max(...all.map((each) => spread(each.gaps).p99 ?? Infinity)),
        delay: spread(all.flatMap((each) => each.delays)),
        received: all.reduce((sum, each) => sum + each.packets, 0),
        silent: all.filter((each) => !each.packets).length,
        kept,
      })
    }, seconds * 1000)
  },
  end: () => {
    for (const leg of legs.values()) leg.connection.close()
    legs.clear()
    say({ ended: true })
  },
}

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const order = JSON.parse(line)
    orders[order.do](order)
  })
  .on('close', () => process.exit(0))
