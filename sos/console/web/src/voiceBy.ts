/** The voice of this house, by what the service says in `welcome`. */

import type { Listener, DeskVoice } from "./voice";
import { SdkVoice } from "./voiceSdk";
import { TelephoneVoice } from "./voiceTelephone";
import { WebRtcVoice } from "./voiceWebrtc";

export const WAYS = ["webrtc", "sdk", "telephone", "none"] as const;
export type Way = (typeof WAYS)[number];

export function voiceBy(way: Way, listener: Listener): DeskVoice {
  switch (way) {
    case "sdk":
      return new SdkVoice(listener);
    case "telephone":
    case "none":
      return new TelephoneVoice(listener, way === "telephone");
    case "webrtc":
      return new WebRtcVoice(listener);
  }
}
