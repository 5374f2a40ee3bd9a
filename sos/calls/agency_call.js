// Joins the call by WebRTC (WHIP), waits to be let in, and comes back by itself when it is cut off.
"use strict";
const SILENT_AFTER_MS = 3000;
const WORDS = {
  idle: "未参加 / not joined",
  waiting: "操作員の許可を待っています / waiting for the operator to let you in",
  connected: "通話中 / in the call",
  recovering: "再接続中 / reconnecting",
  over: "通話は終わりました / the call is over",
  no_microphone: "マイクがありません。聞くだけです / no microphone: you only hear",
};
const by = (id) => document.getElementById(id);
let pc = null;
let microphone = null;
let wanted = false;
let packets = 0;
let movedAt = 0;

function show(state) {
  const line = by("state");
  line.textContent = WORDS[state];
  line.dataset.state = state;
  by("join").hidden = wanted;
  by("leave").hidden = by("mute").hidden = !wanted;
}

function gathered(connection) {
  return new Promise((resolve) => {
    const done = () => connection.iceGatheringState === "complete" && resolve();
    setTimeout(resolve, 1500);
    connection.addEventListener("icegatheringstatechange", done);
    done();
  });
}

function drop() {
  if (pc !== null) pc.close();
  pc = null;
}

// Relays for whom UDP does not reach; null while nobody has let us in.  Without an answer the call goes without them.
async function relays() {
  try {
    const answer = await fetch(location.pathname + "/ice", { signal: AbortSignal.timeout(1500) });
    if (answer.status === 409) return null;
    return answer.ok ? (await answer.json()).iceServers : [];
  } catch {
    return [];
  }
}

async function offer() {
  drop();
  const iceServers = await relays();
  if (!wanted) return "over";
  if (iceServers === null) return "waiting";
  const mine = (pc = new RTCPeerConnection({ iceServers }));
  window.__pc = mine;
  mine.ontrack = ({ track }) => (by("sound").srcObject = new MediaStream([track]));
  const [track] = microphone === null ? [] : microphone.getAudioTracks();
  if (track) mine.addTrack(track, microphone);
  else mine.addTransceiver("audio", { direction: "recvonly" });
  await mine.setLocalDescription();
  await gathered(mine);
  const headers = { "Content-Type": "application/sdp" };
  const answer = await fetch(location.pathname, { method: "POST", headers, body: mine.localDescription.sdp });
  if (answer.status === 404) return "over";
  if (!answer.ok) return "waiting";
  await mine.setRemoteDescription({ type: "answer", sdp: await answer.text() });
  packets = 0;
  movedAt = performance.now();
  return "connecting";
}

async function heard() {
  let count = 0;
  (await pc.getStats()).forEach((entry) => {
    if (entry.type === "inbound-rtp") count += entry.packetsReceived;
  });
  return count;
}

async function look() {
  if (!wanted) return;
  try {
    if (pc === null || pc.remoteDescription === null) {
      const state = await offer();
      if (state === "over") wanted = false;
      if (state !== "connecting") show(state);
    } else {
      const count = await heard();
      if (count > packets) [packets, movedAt] = [count, performance.now()];
      if (performance.now() - movedAt > SILENT_AFTER_MS || pc.connectionState === "failed") {
        show("recovering");
        drop();
      } else if (packets > 0) show(microphone === null ? "no_microphone" : "connected");
    }
  } catch {
    show("recovering");
    drop();
  }
  setTimeout(look, pc !== null && pc.remoteDescription !== null ? 500 : 1000);
}

by("join").onclick = async () => {
  microphone = await navigator.mediaDevices.getUserMedia({ audio: true }).catch(() => null);
  wanted = true;
  show("waiting");
  by("leave").focus();
  void look();
};
by("mute").onclick = () => {
  const muted = by("mute").getAttribute("aria-pressed") !== "true";
  by("mute").setAttribute("aria-pressed", String(muted));
  by("mute").textContent = muted ? "ミュート中 / muted" : "ミュート / mute";
  for (const track of microphone === null ? [] : microphone.getAudioTracks()) track.enabled = !muted;
};
by("leave").onclick = () => {
  wanted = false;
  drop();
  for (const track of microphone === null ? [] : microphone.getAudioTracks()) track.stop();
  void fetch(location.pathname, { method: "DELETE", keepalive: true });
  show("over");
  by("join").hidden = false;
  by("join").focus();
};
