<?php
// Starts a RabbitMQ node for a whole run of tests, prints what belongs into FERRY_TEST_AMQP, and ends it when its own input ends: when the
// one who asked for it says so, or is gone.

require_once __DIR__ . '/rabbit.php';

$node = RabbitNode::start();
echo "{$node->port}:{$node->folder}\n";
stream_get_contents(STDIN);
