#!/bin/sh
# Report a crash and follow it until it is closed.  curl and nothing else.
#
# SOS_URL=https://sos.example.com SOS_KEY=... sh crash_to_closed.sh
set -eu
now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
id="$(date +%s)-$$" # of your own: what is sent again under the same source and id is the same report

ask() { curl --silent --show-error --fail-with-body --max-time 10 --retry 4 --header "Authorization: Bearer $SOS_KEY" "$@"; }
member() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; } # of a JSON object: enough for these answers, use jq for more

incident=$(ask --header "Content-Type: application/cloudevents+json" --data @- "$SOS_URL/v1/events" <<EVENT | member incident
{"specversion": "1.0", "id": "$id", "source": "/oem/acme/tcu/4f2a", "type": "jp.example.sos.crash.v1", "time": "$now",
 "datacontenttype": "application/json",
 "data": {"trigger": "automatic", "eventTime": "$now",
  "vehicle": {"id": {"scheme": "vin", "value": "JTMZZ3TESTEC00001"}},
  "location": {"latitude": 35.681236, "longitude": 139.767125, "timestamp": "$now"},
  "crash": {"impact": "front", "deltaV": {"x": -45.0, "y": 10.0, "unit": "km/h"}}}}
EVENT
)
echo "reported $incident"

seen=
while [ "$seen" != closed ]; do
  status=$(ask "$SOS_URL/v1/incidents/$incident" | member status)
  [ "$status" = "$seen" ] || echo "$status"
  seen=$status
  sleep 1
done
