#!/bin/sh
# Makes keys and passwords once, and gives each service its own and no other's.
#
# /keys holds everything, with the two that must stay offline (targets.key, tls/ca.key): no other service
# mounts it. /for/NAME is the volume of the service NAME. Run again, it changes nothing that is there.
set -eu
umask 077

devices="$*"
if [ ! -e /keys/trust.json ]; then
    set --
    for device in $devices; do
        set -- "$@" --device "$device"
    done
    fleetdrill keys init /keys --tls --server-name mosquitto --server-name localhost "$@"
fi
for device in $devices; do
    [ -e "/keys/tls/clients/$device.crt" ] || fleetdrill keys device /keys "$device"
done
if [ ! -e /keys/postgres.password ]; then
    head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n' > /keys/postgres.password
fi

# give UID FOLDER FILE...: copies, readable by that account alone
give() {
    uid=$1 folder=$2
    shift 2
    install -d -m 700 -o "$uid" -g "$uid" "$folder"
    install -m 600 -o "$uid" -g "$uid" "$@" "$folder"
}

give 1883 /for/mosquitto \
    /keys/tls/ca.crt /keys/tls/server.crt /keys/tls/server.key \
    /keys/tls/clients/health.crt /keys/tls/clients/health.key
install -d -m 700 -o 1883 -g 1883 /for/mosquitto-state

give 10001 /for/gateway /keys/director.key /keys/flags.key /keys/audit.key \
    /keys/trust.json /keys/audit-trust.json
give 10001 /for/gateway/tls /keys/tls/ca.crt
for user in gateway-control gateway-data gateway-monitor; do
    give 10001 /for/gateway/tls/clients "/keys/tls/clients/$user.crt" "/keys/tls/clients/$user.key"
done
printf 'postgres:5432:fleetdrill:fleetdrill:%s\n' "$(cat /keys/postgres.password)" > /for/gateway/pgpass
chown 10001:10001 /for/gateway/pgpass

give 999 /for/postgres /keys/postgres.password

for device in $devices; do
    give 10001 "/for/$device" /keys/trust.json /keys/tls/ca.crt
    install -m 600 -o 10001 -g 10001 "/keys/tls/clients/$device.crt" "/for/$device/device.crt"
    install -m 600 -o 10001 -g 10001 "/keys/tls/clients/$device.key" "/for/$device/device.key"
done
