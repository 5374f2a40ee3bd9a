// A WebRTC party for the tests: `node node_peer.cjs wrtc|datachannel FOLDER WORDS HEARD`.
// One JSON order per line on standard input (offer, answer, say, leave), one JSON answer per line on standard output.
// wrtc (libwebrtc): WORDS and HEARD are 48 kHz 16 bit mono PCM.  datachannel (libdatachannel, which knows no codec):
// WORDS is Opus packets of 20 ms, each after its length in two bytes, the first one silence; HEARD is the packets that
// came, each after its RTP timestamp (four bytes) and its length (two).
"use strict";
const fs = require("node:fs");
const path = require("node:path");
const readline = require("node:readline");
const { createRequire } = require("node:module");

const [, , stack, folder, words, heardFile] = process.argv;
const load = createRequire(path.join(folder, "package.json"));
const heard = fs.openSync(heardFile, "w");
const tell = (what) => process.stdout.write(JSON.stringify(what) + "\n");

/** Calls `step` every `ms` of real time, however late the timers are. */
function every(ms, step) {
  const begun = performance.now();
  let done = 0;
  return setInterval(() => {
    for (; done * ms < performance.now() - begun; done += 1) step();
  }, ms / 2);
}

function wrtc() {
  const { RTCPeerConnection, MediaStream, nonstandard } = load("@roamhq/wrtc");
  const FRAME = 480;
  const said = new Int16Array(fs.readFileSync(words).buffer.slice(0));
  const source = new nonstandard.RTCAudioSource();
  const pc = new RTCPeerConnection({ iceServers: [] });
  const track = source.createTrack();
  pc.addTrack(track, new MediaStream([track]));
  pc.ontrack = (event) => {
    const sink = new nonstandard.RTCAudioSink(event.track);
    sink.ondata = ({ samples, sampleRate, channelCount }) => {
      const step = channelCount;
      const mono = new Int16Array(samples.length / step);
      for (let at = 0; at < mono.length; at += 1) mono[at] = samples[at * step];
      const times = 48000 / sampleRate;
      const whole = new Int16Array(mono.length * times);
      for (let at = 0; at < whole.length; at += 1) whole[at] = mono[Math.floor(at / times)];
      fs.writeSync(heard, Buffer.from(whole.buffer));
    };
  };
  let at = said.length;
  every(10, () => {
    const samples = new Int16Array(FRAME);
    samples.set(said.subarray(at, at + FRAME));
    const before = at < said.length;
    at += FRAME;
    source.onData({ samples, sampleRate: 48000, bitsPerSample: 16, channelCount: 1, numberOfFrames: FRAME });
    if (before && at >= said.length) tell({ said: true });
  });
  return {
    async offer() {
      await pc.setLocalDescription(await pc.createOffer());
      if (pc.iceGatheringState !== "complete")
        await new Promise((resolve) => {
          pc.onicegatheringstatechange = () => pc.iceGatheringState === "complete" && resolve();
        });
      return pc.localDescription.sdp;
    },
    answer: (sdp) => pc.setRemoteDescription({ type: "answer", sdp }),
    say: () => (at = 0),
    leave: () => pc.close(),
  };
}

function datachannel() {
  const { PeerConnection, Audio } = load("node-datachannel");
  const PAYLOAD_TYPE = 111;
  const SSRC = 4711;
  const packets = [];
  const file = fs.readFileSync(words);
  for (let at = 0; at < file.length; at += 2 + file.readUInt16BE(at)) packets.push(file.subarray(at + 2, at + 2 + file.readUInt16BE(at)));
  const [silence, ...said] = packets;
  const pc = new PeerConnection("peer", { iceServers: [] });
  const audio = new Audio("0", "SendRecv");
  audio.addOpusCodec(PAYLOAD_TYPE);
  audio.addSSRC(SSRC, "peer", "peer", "peer");
  const track = pc.addTrack(audio);
  track.onMessage((packet) => {
    if (packet.length < 12 || (packet[1] & 0x7f) !== PAYLOAD_TYPE) return; // RTCP comes here too
    const extended = (packet[0] & 0x10) !== 0;
    const plain = 12 + 4 * (packet[0] & 0x0f);
    const payload = packet.subarray(extended ? plain + 4 + 4 * packet.readUInt16BE(plain + 2) : plain);
    const head = Buffer.alloc(6);
    packet.copy(head, 0, 4, 8);
    head.writeUInt16BE(payload.length, 4);
    fs.writeSync(heard, Buffer.concat([head, payload]));
  });
  let number = 0;
  let at = said.length;
  every(20, () => {
    const head = Buffer.alloc(12);
    head[0] = 0x80;
    head[1] = PAYLOAD_TYPE;
    head.writeUInt16BE(number & 0xffff, 2);
    head.writeUInt32BE((number * 960) >>> 0, 4);
    head.writeUInt32BE(SSRC, 8);
    number += 1;
    const before = at < said.length;
    const payload = before ? said[at] : silence;
    at += 1;
    if (track.isOpen()) track.sendMessageBinary(Buffer.concat([head, payload]));
    if (before && at >= said.length) tell({ said: true });
  });
  return {
    offer: () =>
      new Promise((resolve) => {
        pc.onGatheringStateChange((state) => state === "complete" && resolve(pc.localDescription().sdp));
        pc.setLocalDescription();
        if (pc.gatheringState() === "complete") resolve(pc.localDescription().sdp);
      }),
    answer: (sdp) => pc.setRemoteDescription(sdp, "answer"),
    say: () => (at = 0),
    leave: () => pc.close(),
  };
}

const peer = stack === "wrtc" ? wrtc() : datachannel();
readline.createInterface({ input: process.stdin }).on("line", async (line) => {
  const order = JSON.parse(line);
  if (order.do === "offer") tell({ sdp: await peer.offer() });
  else if (order.do === "answer") tell({ taken: (await peer.answer(order.sdp)) ?? true });
  else if (order.do === "say") peer.say();
  else if (order.do === "leave") {
    peer.leave();
    process.exit(0);
  }
}).on("close", () => process.exit(0));
