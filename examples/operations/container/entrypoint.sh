#!/bin/sh
# The entrypoint of a container of workers:
#
#   docker run app                                    workers for the queues of FERRY_QUEUE
#   docker run app --queue=mail --tries=5             the same, with other options
#   docker run app --connection=rabbit --tasks --registry=tasks.php    consumers of RabbitMQ tasks, without FERRY_QUEUE
#   docker run app failed --queue=mail                any other command of the console
#   docker kill --signal=HUP CONTAINER                replaces the workers one by one
#
# FERRY_PROCESSES (2), FERRY_QUEUE (the queue of the connection), FERRY_BOOTSTRAP (/srv/app/boot.php) and FERRY_URL are read from the environment.
set -eu

ferry=/srv/app/vendor/bin/ferry
bootstrap=${FERRY_BOOTSTRAP:-/srv/app/boot.php}

# A word that is no option is a command.
case ${1:-} in
    '' | -*) ;;
    *) exec php "$ferry" "$@" ;;
esac

# `exec`, so that the master itself is the first process and hears TERM. `docker stop` kills after 10 s: --stop-timeout and --grace stay
# below. JSON, because whoever collects the lines of a container wants to read them.
exec php "$ferry" work --processes="${FERRY_PROCESSES:-2}" --bootstrap="$bootstrap" ${FERRY_QUEUE:+--queue="$FERRY_QUEUE"} \
    --stop-timeout=5 --grace=3 --log=json "$@"
