#!/bin/sh
# Report a crash through the broker and wait for the acknowledgement.  mosquitto_pub and mosquitto_sub.
#
# SOS_BROKER=broker.example.com SOS_PORT=8883 SOS_TENANT=acme sh crash_by_mqtt.sh --cafile ca.pem -u acme -P ...
set -eu
now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
id="$(date +%s)-$$"
vehicle="vin:JTMZZ3TESTEC00001"
topic="sos/v1/$SOS_TENANT/$vehicle"

mosquitto_sub -h "$SOS_BROKER" -p "$SOS_PORT" "$@" -q 1 -t "$topic/command" -C 1 -W 30 &
answer=$!
sleep 1 # the subscription stands before the report goes
mosquitto_pub -h "$SOS_BROKER" -p "$SOS_PORT" "$@" -q 1 -t "$topic/event" -s <<EVENT
{"specversion": "1.0", "id": "$id", "source": "/oem/acme/tcu/4f2a", "type": "jp.example.sos.crash.v1", "time": "$now",
 "datacontenttype": "application/json",
 "data": {"trigger": "automatic", "eventTime": "$now",
  "location": {"latitude": 35.681236, "longitude": 139.767125, "timestamp": "$now"},
  "crash": {"impact": "front", "deltaV": {"x": -45.0, "y": 10.0, "unit": "km/h"}}}}
EVENT
wait "$answer"
